"""A terminal that outlives the person's: left, lost and come back to, with the prompt that was there."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pexpect
import pytest

from devswap import frames, kept_terminal, process
from devswap.errors import DevswapError
from devswap.terminal_keeper import SOCKET

COMMAND = """
import os, time
print("this is a terminal:", os.isatty(0), open("/dev/tty").isatty(), flush=True)
while (typed := input("(Pdb) ")) != "end":
    if typed == "busy":
        print("begun", flush=True)
        time.sleep(1000)
    print("answer", typed * 2, os.get_terminal_size().columns, flush=True)
raise SystemExit(7)
"""
ATTACH = """
import sys
from pathlib import Path
from devswap import frames, kept_terminal
from devswap.journal import Owner
left = kept_terminal.attach(Path(sys.argv[1]), Owner(sys.argv[2], 0, "here", "pts/7", 1), until=sys.argv[3:])
print("left with", left.code)
"""
PROMPT = r"\(Pdb\) "


class Kept:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "kept.sock"
        self._scripts = {name: folder / f"{name}.py" for name in ("command", "attach")}
        self._scripts["command"].write_text(COMMAND)
        self._scripts["attach"].write_text(ATTACH)
        line = [sys.executable, "-m", "devswap.terminal_keeper", str(self.path), sys.executable]
        self.keeper = subprocess.Popen([*line, str(self._scripts["command"])], stdin=subprocess.DEVNULL)
        self.wait(there=True)

    def wait(self, *, there: bool) -> None:
        deadline = time.monotonic() + 20
        while (kept_terminal.look(self.path) is not None) != there:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def people(self) -> str:
        found = kept_terminal.look(self.path)
        assert found is not None
        return found.people

    def attach(
        self, who: str, *until: str, columns: int = 80, environment: Mapping[str, str] = MappingProxyType({})
    ) -> pexpect.spawn[str]:
        argv = [str(self._scripts["attach"]), str(self.path), who, *until]
        env: Any = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        env.update(environment)
        return pexpect.spawn(sys.executable, argv, env=env, encoding="utf-8", timeout=20, dimensions=(24, columns))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    found = Kept(tmp_path)
    yield found
    found.keeper.kill()
    found.keeper.wait()


def test_who_loses_the_connection_comes_back_to_the_same_prompt(kept: Kept) -> None:
    first = kept.attach("ada")
    first.expect("this is a terminal: True True")
    first.expect(PROMPT)
    first.sendline("ab")
    first.expect("answer abab 80")
    first.expect(PROMPT)
    first.close(force=True)
    again = kept.attach("ada", columns=100)
    again.expect("answer abab 80")
    again.expect(PROMPT)
    again.sendline("cd")
    again.expect("answer cdcd 100")
    again.close(force=True)


def test_two_see_the_same_and_who_is_attached_is_known(kept: Kept) -> None:
    ada, ben = kept.attach("ada"), kept.attach("ben")
    for each in (ada, ben):
        each.expect(PROMPT)
    assert kept.people() in ("ada on pts/7, ben on pts/7", "ben on pts/7, ada on pts/7")
    ben.sendline("x")
    ada.expect("answer xx")
    ben.expect("answer xx")
    ben.sendcontrol("]")
    ben.expect("left with None")
    ben.expect(pexpect.EOF)
    ada.sendline("y")
    ada.expect("answer yy")
    assert kept.people() == "ada on pts/7"


def test_a_command_that_reads_nothing_does_not_hold_up_the_keeper(kept: Kept) -> None:
    ada = kept.attach("ada")
    ada.expect(PROMPT)
    ada.sendline("busy")
    ada.expect("begun")
    with socket.socket(socket.AF_UNIX) as pasting:
        pasting.connect(str(kept.path))
        frames.send(pasting, frames.KEYS, b"line\n" * 100_000)  # more than its terminal holds
        assert kept_terminal.look(kept.path) is not None


@pytest.mark.parametrize("columns", [0, 70_000])
def test_a_size_that_no_terminal_has_ends_nothing(kept: Kept, columns: int) -> None:
    odd = kept.attach("ada", environment={"COLUMNS": str(columns)})
    odd.expect(PROMPT)
    odd.sendline("x")
    odd.expect("answer xx")


def test_its_end_is_told_with_the_code_and_nothing_is_left(kept: Kept) -> None:
    ada = kept.attach("ada")
    ada.expect(PROMPT)
    ada.sendline("end")
    ada.expect("left with 7")
    assert kept.keeper.wait(20) is not None
    assert not kept.path.exists()


def test_who_waits_for_services_leaves_when_all_of_them_answer(kept: Kept) -> None:
    ada = kept.attach("ada", "heat-api", "heat-engine")
    ada.expect(PROMPT)
    kept_terminal.tell_serving("heat-engine", {SOCKET: str(kept.path)})
    ada.sendline("not yet")
    ada.expect("answer not yetnot yet")
    kept_terminal.tell_serving("heat-api", {SOCKET: str(kept.path)})
    ada.expect("left with None")
    kept.wait(there=True)


def test_the_socket_of_a_keeper_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "terminals"
    folder.mkdir()
    (folder / "1.sock").touch()
    assert list(kept_terminal.all_of(tmp_path)) == []
    assert list(folder.iterdir()) == []


def test_a_command_that_is_killed_has_brought_nothing_back(kept: Kept) -> None:
    ada = kept.attach("ada")
    ada.expect(PROMPT)
    found = kept_terminal.look(kept.path)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)
    ada.expect(r"NotWhole: the devswap on that terminal was killed \(signal 9\)")
    ada.expect(pexpect.EOF)


def test_on_an_ordinary_terminal_nobody_is_told() -> None:
    kept_terminal.tell_serving("heat-engine", {})
    assert not kept_terminal.is_inside({})


@pytest.mark.parametrize("gives_up", ["Ctrl-C", "time"])
def test_who_gives_up_before_it_answers_leaves_nothing_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gives_up: str
) -> None:
    started, real, hours = list[subprocess.Popen[bytes]](), process.popen, itertools.count()

    def popen(*argv: Any, **how: Any) -> subprocess.Popen[bytes]:
        started.append(real(*argv, **how))
        return started[-1]

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as now:
        now.setattr(process, "popen", popen)
        if gives_up == "Ctrl-C":
            now.setattr(time, "sleep", interrupted)
        else:
            now.setattr(time, "monotonic", lambda: 100.0 * next(hours))
        with pytest.raises(KeyboardInterrupt if gives_up == "Ctrl-C" else DevswapError):
            kept_terminal.start(tmp_path, ["status"])
    (keeper,) = started
    assert keeper.wait(20) == -signal.SIGKILL
