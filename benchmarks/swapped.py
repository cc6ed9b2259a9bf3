"""The same work by devswap: the installed program, run as a user of this host runs it through sudo.

A user and a state folder of its own make the first checkout a first one: no mirror, no overlay, nothing remembered.
"""

from __future__ import annotations

import os
import pty
import pwd
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.place import Place
from devswap import process
from devswap.errors import DevswapError
from devswap.process import Identity

USER = "devswap-benchmark"


@dataclass(frozen=True)
class Program:
    """devswap in a virtualenv of its own, with a state folder of its own."""

    path: Path
    environment: dict[str, str]

    def run(self, *words: str) -> int:
        """Run it to its end; returns its own largest resident memory in KiB. Raises DevswapError with what it said."""
        with os.fdopen(os.memfd_create("said"), "w+b") as said:
            running = process.popen([str(self.path), *words], env=self.environment, stdout=said, stderr=said)
            try:
                memory = _largest_memory(running)
            except BaseException:
                running.terminate()  # it rolls back what it began
                running.wait()
                raise
            if running.returncode != 0:
                said.seek(0)
                text = said.read().decode(errors="replace").strip()
                raise DevswapError(f"devswap {' '.join(words)} failed with {running.returncode}:\n{text}")
        return memory

    @contextmanager
    def terminal(self, *words: str) -> Iterator[Terminal]:
        """Run it on a terminal of its own; at the end Ctrl-C is typed, and its end awaited."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.path, [str(self.path), *words], self.environment)
        shown = Terminal(terminal)
        try:
            yield shown
        finally:
            os.write(terminal, b"\x03")
            os.waitpid(pid, 0)
            os.close(terminal)


class Terminal:
    """What a program shows on a terminal; read all the time, since a terminal that nobody reads stops its program."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._said = b""
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with suppress(OSError):  # so ends a terminal that its last program has left
            while data := os.read(self._terminal, 65536):
                with self._news:
                    self._said += data
                    self._news.notify_all()

    def wait(self, text: str, seconds: float = 120) -> None:
        """Until it has shown `text`; raises DevswapError with what it showed instead."""
        with self._news:
            if not self._news.wait_for(lambda: text.encode() in self._said, timeout=seconds):
                raise DevswapError(f"{text!r} was not shown:\n{self._said.decode(errors='replace')}")


def _largest_memory(running: process.Popen[bytes]) -> int:
    """The high-water mark in its last moments: what wait4(2) reports would count the programs that it starts too."""
    largest = 0
    while running.poll() is None:
        try:
            found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{running.pid}/status").read_text())
        except OSError:
            found = None
        largest = max(largest, int(found[1]) if found else 0)
        time.sleep(0.01)
    return largest


def installed(path: Path, state: Path, place: Place, *, uid: int) -> Program:
    """Its environment is this one's, without what this shell tells Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DEVSWAP_", "SUDO_"))}
    urls = {"DEVSWAP_BRANCHES_URL": place.git, "DEVSWAP_CHANGES_URL": place.git}
    return Program(path, {**kept, **urls, "DEVSWAP_STATE_DIR": str(state), "SUDO_UID": str(uid)})


class Person:
    """The account whose checkouts the program makes."""

    def __init__(self) -> None:
        entry = pwd.getpwnam(USER)
        self.uid, self.home = entry.pw_uid, Path(entry.pw_dir)
        self._identity = Identity(entry.pw_uid, entry.pw_gid)

    def clone(self, place: Place, ref: str) -> Path:
        """Their own working tree of heat."""
        tree = self.home / "heat"
        git = ["git", "-C", str(tree)]
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        for argv in (
            ["git", "clone", "--quiet", f"{place.git}/heat", str(tree)],
            [*git, "fetch", "--quiet", "origin", ref],
            [*git, "checkout", "--quiet", "FETCH_HEAD"],
        ):
            process.run(argv, env=environment, cwd="/", identity=self._identity)
        return tree


@contextmanager
def person() -> Iterator[Person]:
    """The account, as long as the block lasts."""
    _remove_account()
    process.run(["useradd", "--create-home", "--shell", "/bin/sh", USER])
    try:
        yield Person()
    finally:
        _remove_account()


@contextmanager
def first_day(place: Place, program: Path, state: Path) -> Iterator[tuple[Program, Person]]:
    """Nothing is known. Whatever happens inside, production is back at the end."""
    with person() as somebody:
        devswap = installed(program, state, place, uid=somebody.uid)
        if state.exists():
            _forget(devswap, state)  # a run that was killed left it
        try:
            yield devswap, somebody
        finally:
            _forget(devswap, state)


def _forget(devswap: Program, state: Path) -> None:
    devswap.run("restore")
    shutil.rmtree(state)


def _remove_account() -> None:
    # 6: no such user
    process.run(["userdel", "--remove", USER], ok=(0, 6))
