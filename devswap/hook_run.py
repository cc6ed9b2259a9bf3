"""Runs one hook, in the machine or on the host, and reads its answer.

What it is told comes on standard input; neither its text nor anything of that is on a command line or in a file. In the
machine it runs as the service's user, with everything read-only but a folder of its own, if it has one: what else shall
be there afterwards it declares.
"""

from __future__ import annotations

import json
import os
import posixpath
import pwd
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from devswap import development, process, systemd
from devswap.errors import CommandFailed, CommandTimeout, DevswapError
from devswap.hooks import MACHINE, PREPARED, RESTORED, Hook
from devswap.machine import Machine
from devswap.masking import mask
from devswap.process import Identity, Result
from devswap.slot import NOTHING, Made

# Without a file of its own: the script and its standard input lie in memory, and its interpreter is told where.
_RUN = """
import json, os, sys
told = json.loads(sys.stdin.read())

def in_memory(name, text):
    descriptor = os.memfd_create(name, 0)
    with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as file:
        file.write(text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor

script = in_memory("hook", told["script"])
os.dup2(in_memory("document", told["document"]), 0)
interpreter = told["script"].splitlines()[0][2:].strip().split(None, 1)
try:
    os.execve(interpreter[0], [*interpreter, "/proc/self/fd/%d" % script], {**os.environ, **told["environment"]})
except OSError as error:
    sys.exit("cannot run %s: %s" % (interpreter[0], error.strerror))
"""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_GRACE = 2
_LATE = (124, 128 + 9, -9)
"""timeout(1): ended at its deadline, or killed a little later; in a group of its own it is killed as well."""
_LARGEST = 256 * 1024
_OPTION = re.compile(r"OS_[A-Z0-9_]+?__[A-Z0-9_]+")
_KEYS = {"files": list, "made": dict, "environment": dict}
# What production and its playbooks answer for, whoever asks.
_NEVER = ("/proc/", "/sys/", "/dev/", "/run/systemd/", "/etc/systemd/", "/openstack/", "/etc/kolla/")


@dataclass(frozen=True)
class Declared:
    """A file that shall be in the machine as long as production is stopped."""

    path: str
    text: str
    mode: int


@dataclass(frozen=True)
class Answer:
    """What a hook declares."""

    files: tuple[Declared, ...] = ()
    made: Made = NOTHING
    environment: Mapping[str, str] = field(default_factory=dict)
    """Options that development has besides, as oslo.config reads them: OS_GROUP__OPTION."""


def unit(service: str) -> str:
    """What a hook runs as in the machine: a rollback ends what a killed devswap has left of it."""
    return f"devswap-{service}-hook.service"


def folder(service: str) -> str:
    """Where any hook may have files."""
    return f"{development.folder(service)}/hooks"


def call(hook: Hook, machine: Machine, told: Mapping[str, Any], say: Callable[[str], None]) -> Answer:
    """Run it to its end. `told` is its document, but for the stage and where the checkout is seen from.

    What it writes to standard error is said. Raises DevswapError where it fails, takes too long, or answers what cannot
    be understood or must not be.
    """
    document = {**told, "stage": hook.stage, **told["places"][hook.on]}
    del document["places"]
    given = json.dumps(
        {"script": hook.text, "document": json.dumps(document, indent=1) + "\n", "environment": _variables(document)}
    )
    try:
        result = _in_machine(hook, machine, told, given) if hook.on == MACHINE else _on_host(hook, given)
    except CommandFailed as error:
        code = error.result.code
        is_late = code in _LATE or isinstance(error, CommandTimeout)  # that: by what it has left in the background
        why = f"had not ended after {hook.seconds} s" if is_late else f"failed with {code}"
        raise DevswapError(
            f"the hook {hook.path} {why}: {error.result.tail}".rstrip(": "),
            hint=f"mend it, or move it out of {posixpath.dirname(hook.path)}",
        ) from error
    for line in result.stderr.splitlines():
        say(f"{hook.path}: {mask(line)}")
    return _answer(hook, result.stdout, told)


def _variables(document: Mapping[str, Any]) -> dict[str, str]:
    return {f"DEVSWAP_{name.upper()}": value for name, value in document.items() if isinstance(value, str)}


def _in_machine(hook: Hook, machine: Machine, told: Mapping[str, Any], given: str) -> Result:
    # in the foreground: in a group of its own it would be killed with what it watches, and its unit ends what is left
    timeout = ["timeout", "--foreground", f"--kill-after={_GRACE}", str(hook.seconds)]
    return systemd.run_in_unit(
        machine,
        unit(told["service"]),
        [*timeout, told["production"]["python"], "-I", "-c", _RUN],
        user=told["user"],
        group=told["group"],
        cwd="/",
        env={"HOME": "/tmp"},  # noqa: S108 - its own: PrivateTmp
        properties={
            "ProtectSystem": "strict",
            "PrivateTmp": "yes",
            "NoNewPrivileges": "yes",
            "RuntimeMaxSec": str(hook.seconds + 2 * _GRACE),
            "TimeoutStopSec": str(_GRACE),
            **({"ReadWritePaths": told["places"][MACHINE]["made"]} if hook.makes and hook.stage != RESTORED else {}),
        },
        input=given,
    )


def _on_host(hook: Hook, given: str) -> Result:
    """As whose it is. The kernel kills it if what watches its time is killed."""
    watched = ["timeout", f"--kill-after={_GRACE}", str(hook.seconds), "setpriv", "--pdeathsig", "KILL", "--"]
    identity, home = _identity(hook)
    return process.run(
        [*watched, os.path.realpath(sys.executable), "-I", "-c", _RUN],
        input=given,
        env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": home},
        cwd="/",
        timeout=hook.seconds + 4 * _GRACE,
        identity=identity,
    )


def _identity(hook: Hook) -> tuple[Identity | None, str]:
    """(as whom it runs, None where that is who runs this; their home)."""
    try:
        entry = pwd.getpwuid(hook.uid)
    except KeyError as error:
        raise DevswapError(f"cannot run the hook {hook.path}: this host has no user {hook.uid} any more") from error
    if hook.uid == os.geteuid():
        return None, entry.pw_dir
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Identity(entry.pw_uid, entry.pw_gid, groups), entry.pw_dir


# --- its answer -----------------------------------------------------------------------------------------------------


def _answer(hook: Hook, said: str, told: Mapping[str, Any]) -> Answer:
    """Nothing, or one JSON object on standard output, with any of these.

    {"files": [{"path", "text", "mode"}], "made": {"python": FOLDER, "aliases": {"/static": FOLDER}},
    "environment": {"OS_GROUP__OPTION": TEXT}}.
    """
    if not said.strip():
        return Answer()
    try:
        read = json.loads(said)
    except ValueError:
        read = None
    fits = isinstance(read, dict) and read.keys() <= _KEYS.keys() and len(said) <= _LARGEST
    if not fits or not all(isinstance(value, _KEYS[key]) for key, value in read.items()):
        raise DevswapError(
            f"the hook {hook.path} does not answer as it must: {mask(said.strip()[:80])}",
            hint='nothing, or {"files": […], "made": {…}, "environment": {…}}; what people read goes to standard error',
        )
    if any(read.values()) and hook.stage != PREPARED:
        raise DevswapError(
            f"the hook {hook.path} declares {', '.join(read)}, which only {PREPARED} may: there is time to refuse",
            hint=f"declare it in a hook called {PREPARED} beside it",
        )
    made, environment = read.get("made"), read.get("environment", {})
    _require_options(hook, environment)
    files = tuple(_declared(hook, read.get("files", []), told["service"]))
    return Answer(files, _made(hook, made, told) if made else NOTHING, environment)


def _require_options(hook: Hook, environment: Mapping[str, Any]) -> None:
    """Some units begin as root, and what they are given begins with them: a loader's variable would be root's."""
    for name, value in environment.items():
        if not (_OPTION.fullmatch(name) and isinstance(value, str) and value.isprintable()):
            raise DevswapError(
                f"the hook {hook.path} declares {name!r} for the environment",
                hint="OS_GROUP__OPTION, as oslo.config reads an option from there, and a text of one line",
            )
        if mask(f"{name}={value}") != f"{name}={value}":
            raise DevswapError(
                f"the hook {hook.path} declares {name}, whose value looks like a secret",
                hint="all may read development's unit: leave it in production's files, which development reads",
            )


def _made(hook: Hook, read: Mapping[str, Any], told: Mapping[str, Any]) -> Made:
    """With the folders of its own as they are seen in the machine."""
    python, aliases = read.get("python", ""), read.get("aliases", {})
    fits = hook.makes and read.keys() <= {"python", "aliases"} and isinstance(aliases, dict)
    names = [*([python] if python else []), *(aliases.values() if fits else ())]
    fits = fits and all(isinstance(name, str) and re.fullmatch(r"\w[\w.-]*", name) for name in names)
    if not fits or not all(re.fullmatch(r"(/\w[\w.-]*)+", url) for url in aliases):
        raise DevswapError(
            f"the hook {hook.path} declares what it has made as it must not",
            hint='{"python": "FOLDER", "aliases": {"/URL": "FOLDER"}}, in the folder of a hook that makes = yes',
        )
    folder = told["places"][MACHINE]["made"]
    return Made(python and f"{folder}/{python}", {url: f"{folder}/{name}" for url, name in aliases.items()})


def _declared(hook: Hook, files: list[Any], service: str) -> Iterator[Declared]:
    for file in files:
        fits = isinstance(file, dict) and {"path", "text"} <= file.keys() <= {"path", "text", "mode"}
        if not fits or not all(isinstance(value, str) for value in file.values()):
            raise DevswapError(
                f"the hook {hook.path} declares a file that is not path, text and mode",
                hint='{"path": "/…", "text": "…", "mode": "0644"}, all of them text',
            )
        path, mode = file["path"], file.get("mode", "0644")
        if not re.fullmatch(r"0[4-7][0-7]{2}", mode):
            raise DevswapError(
                f"the hook {hook.path} declares {path} with mode {mode}",
                hint='"0644", or another that its owner can read',
            )
        _require_allowed(hook, path, service)
        yield Declared(path, file["text"], int(mode, 8))


def _require_allowed(hook: Hook, path: str, service: str) -> None:
    own = f"{folder(service)}/"
    # normpath keeps two slashes at the beginning, which are one to the kernel
    plain = re.match(r"/(?!/)", path) and posixpath.normpath(path) == path and path.isprintable()
    if plain and path.startswith(own):
        return
    if not plain or path.startswith((*_NEVER, "/run/devswap/")) or posixpath.basename(path) == "pip.conf":
        raise DevswapError(f"the hook {hook.path} must not make {path}", hint=f"below {own} it may")
    if hook.uid != 0:
        # root writes them: a user's word for one in /etc/sudoers.d or /etc/cron.d would be root's
        raise DevswapError(
            f"the hook {hook.path} is no file of root's: it may make files below {own} only, not {path}",
            hint="root may put it into /etc/devswap/hooks",
        )
    # what answers ran as the service's user, beside others of that user's: only the hook's own text is root's
    if not any(PurePosixPath(path).match(pattern) for pattern in hook.files):
        raise DevswapError(
            f"the hook {hook.path} declares {path}, which it does not name at its beginning",
            hint=f"a line there, where that is meant: # devswap: files = {path}",
        )
