"""Has a person edit a text of root's: with their own editor, as themselves, as sudoedit(8) does it.

They get a copy in a folder of their own in memory, which goes when the editor has ended. What comes back is read only
if it is a plain file of theirs: a link in its place would have root read something else for them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from devswap import process
from devswap.errors import CommandFailed, DevswapError, UsageError
from devswap.invoker import UserHome

_NAMED = ("SUDO_EDITOR", "VISUAL", "EDITOR")
_USUAL = ("sensible-editor", "editor", "vi", "nano")
_MEMORY = Path("/run")
_CALLED = "devswap-edit-"


def edit(home: UserHome, name: str, text: str, environment: Mapping[str, str] = os.environ) -> str:
    """What the person makes of `text`, in a file called `name`. Raises DevswapError if the editor fails."""
    argv = _editor(environment)
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_CALLED}{os.getpid()}-", dir=_MEMORY))
    try:
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        if home.identity is not None:
            for each in (path, folder):
                os.chown(each, home.identity.uid, home.identity.gid)
        _wait_for([*argv, str(path)], home, environment)
        return _read(path, home)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_as(home: UserHome, path: str) -> str:
    """The text of a file of theirs, read as themselves."""
    try:
        return of_text(path, process.run(["cat", "--", path], identity=home.identity).stdout)
    except CommandFailed as error:
        raise UsageError(
            f"cannot read {path} as {home.user}: {error.result.tail}", hint="--from a file of yours, or -"
        ) from error


def of_text(where: str, read: str) -> str:
    """What was `read`, if it was text: what is not UTF-8 has left a sign in its place."""
    if "\ufffd" in read or any("\udc80" <= sign <= "\udcff" for sign in read):
        raise UsageError(f"{where} is no text", hint="only text in UTF-8 can be edited")
    return read


def _sweep() -> None:
    """Take away what a devswap that was killed while its editor was open has left."""
    for folder in _MEMORY.glob(f"{_CALLED}*"):
        if not Path("/proc", folder.name.removeprefix(_CALLED).partition("-")[0]).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _editor(environment: Mapping[str, str]) -> list[str]:
    for name in _NAMED:
        try:
            words = shlex.split(environment.get(name, ""))
        except ValueError as error:
            raise UsageError(f"cannot read {name}, {environment[name]!r}: {error}", hint=f"{name}=vim") from error
        if words:
            return words
    found = next((path for name in _USUAL if (path := shutil.which(name))), None)
    if found is None or not sys.stdin.isatty():
        raise UsageError("there is no editor to edit it with", hint="EDITOR=vim devswap edit …, or --from FILE")
    return [found]


def _wait_for(argv: list[str], home: UserHome, environment: Mapping[str, str]) -> None:
    settings = home.environment(environment)
    try:
        running = process.popen(argv, identity=home.identity, env=settings, cwd=home.home, new_session=False)
    except OSError as error:
        raise UsageError(f"cannot run {argv[0]}: {error.strerror}", hint="EDITOR=vim devswap edit …") from error
    with running:
        while True:
            try:
                code = running.wait()
                break
            except KeyboardInterrupt:
                continue  # it is the editor's: the terminal sent it there too
    if code:
        raise DevswapError(f"{argv[0]} ended with {code}: nothing was changed", hint="EDITOR=… names another editor")


def _read(path: Path, home: UserHome) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != home.uid or found.st_nlink != 1:
                raise DevswapError(f"the editor left no plain file of {home.user}: nothing was changed")
            return file.read().decode()
    except OSError as error:
        raise DevswapError(f"cannot read what was edited: {error.strerror}; nothing was changed") from error
    except UnicodeDecodeError as error:
        raise DevswapError("what was edited is no text in UTF-8: nothing was changed") from error
