"""The environment of a unit, and what gives another one the same: no value of it, which may be secret, is told."""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from devswap import systemd
from devswap.machine import Machine


def of(machine: Machine, unit: str) -> dict[str, str]:
    """Environment= and EnvironmentFile= of the unit; the files win (systemd.exec(5))."""
    settings, files = _environment(machine, unit)
    for path in (path for pattern in files for path in _matching(machine, pattern.removeprefix("-"))):
        for line in (machine.read_text(path) or "").splitlines():
            if "=" in line and not line.lstrip().startswith(("#", ";")):
                name, _, value = line.partition("=")
                settings[name.strip()] = _unquoted(value.strip())
    return settings


def _environment(machine: Machine, unit: str) -> tuple[dict[str, str], list[str]]:
    """(Environment=, EnvironmentFile= with a minus before those that may be missing) of `unit`."""
    found = systemd.show(machine, unit, "Environment", "EnvironmentFiles")
    words = [re.sub(r"\\([`$])", r"\1", word) for word in shlex.split(found["Environment"])]  # shlex knows the others
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    listed = re.findall(r"^(/.*) \(ignore_errors=(yes|no)\)$", found["EnvironmentFiles"], re.MULTILINE)
    return settings, [f"-{path}" if optional == "yes" else path for path, optional in listed]


def _matching(machine: Machine, pattern: str) -> list[str]:
    """The files that `pattern` names by glob(7), as systemd has it: in order, and none that begins with a dot."""
    if not re.search(r"[*?[]", pattern):
        return [pattern]
    found = ["/"]
    for part in filter(None, pattern.split("/")):
        found = [f"{folder.rstrip('/')}/{name}" for folder in found for name in _named(machine, folder, part)]
    return found


def _named(machine: Machine, folder: str, pattern: str) -> list[str]:
    if not re.search(r"[*?[]", pattern):
        return [pattern]
    names = fnmatch.filter(machine.names(folder), pattern)
    return sorted(name for name in names if pattern.startswith(".") or not name.startswith("."))


@contextmanager
def lent(machine: Machine, unit: str, path: str) -> Iterator[list[str]]:
    """Files that give a transient unit what `unit` has: no value of it, which may be secret, is on a command line.

    Those of production, and `path` for what stands in its unit: root's alone, and gone afterwards.
    """
    settings, files = _environment(machine, unit)
    with settings_lent(machine, settings, path) as own:
        yield [*own, *files]


@contextmanager
def settings_lent(machine: Machine, settings: Mapping[str, str], path: str) -> Iterator[list[str]]:
    """`path` in a list, with `settings` for a unit: root's alone, and gone afterwards. No file where there are none."""
    if not settings:
        yield []
        return
    lines = [f"{name}={_quoted(value)}\n" for name, value in settings.items()]
    machine.write_text(path, "".join(lines), mode=0o600)
    try:
        yield [path]
    finally:
        machine.remove(path)


def _unquoted(value: str) -> str:
    """As systemd reads an environment file: without quotes a backslash escapes whatever is behind it."""
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return re.sub(r'\\(["\\`$])', r"\1", value[1:-1]) if value[0] == '"' else value[1:-1]
    return re.sub(r"\\(.)", r"\1", value)


def _quoted(value: str) -> str:
    """As systemd reads an environment file (systemd.exec(5)): nothing is expanded, and \\ escapes these."""
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'
