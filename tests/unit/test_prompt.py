"""The prompt inside a service, on a real terminal: forked workers that have lost their session and their input."""

from __future__ import annotations

import ast
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from devswap import debugger
from devswap.pty import Terminal
from tests.unit import terminals

PROMPT = r"\(Pdb\) "
SERVICE = """
import json, os, signal, sys, threading, time
from devswap.debugger import start

start.begin(json.dumps({"terminal": os.ttyname(0), "history": sys.argv[1]}))
import pdb

def method(number):
    twice = number * 2
    pdb.set_trace()
    last = twice + 1
    print("done", number, last, flush=True)

service = os.getpid()

def worker(number):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.setsid()
    sys.stdin = open(os.devnull)
    threading.Thread(target=method, args=(number,), name="rpc", daemon=True).start()
    while os.getppid() == service:
        time.sleep(0.2)
    os._exit(0)

workers = []
for number in map(int, sys.argv[2:]):
    workers.append(os.fork())
    if not workers[-1]:
        worker(number)
try:
    while True:
        time.sleep(1)
except KeyboardInterrupt:
    print("interrupted", flush=True)
for pid in workers:
    os.kill(pid, signal.SIGTERM)
"""


class Run:
    """A service with workers on a terminal."""

    def __init__(self, folder: Path, *numbers: int) -> None:
        script = folder / "service.py"
        script.write_text(SERVICE)
        argv = [str(script), str(folder / "history"), *map(str, numbers)]
        self.terminal = pexpect.spawn(sys.executable, argv, encoding="utf-8", timeout=20)

    def expect(self, *texts: str) -> None:
        for text in texts:
            self.terminal.expect(text)

    def type(self, line: str) -> None:
        self.terminal.sendline(line)

    def interrupt(self) -> None:
        self.terminal.sendcontrol("c")

    @property
    def at_prompt(self) -> bool:
        return Terminal(self.terminal.child_fd, "").is_at_prompt()

    def end(self) -> None:
        """As a person ends the service."""
        self.interrupt()
        self.expect("interrupted")
        self.terminal.expect(pexpect.EOF)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started = Run(tmp_path, 21)
    started.expect("has stopped", r"-> last = twice \+ 1", PROMPT)
    yield started
    terminals.close(started.terminal)


def test_a_worker_without_session_and_input_has_a_prompt(run: Run) -> None:
    run.type("p twice")
    run.expect("42", PROMPT)
    run.type("c")
    run.expect("done 21 43")
    run.end()


def test_ctrl_c_comes_back_to_the_prompt_and_ends_the_service_only_afterwards(run: Run) -> None:
    run.terminal.send("p 1")
    run.interrupt()
    run.expect(PROMPT)
    run.interrupt()
    run.expect(PROMPT)
    run.type("n")
    run.expect("-> print", PROMPT)
    run.interrupt()  # an empty line would have repeated the command before
    run.expect(PROMPT)
    run.type("p last")
    run.expect("43", PROMPT)
    run.type("c")
    run.expect("done")
    run.end()


def test_ctrl_c_ends_an_expression_that_takes_too_long_and_lines_typed_ahead_count(run: Run) -> None:
    run.type("while True: pass")
    time.sleep(1)  # what is over at once is not watched
    run.interrupt()
    run.expect("KeyboardInterrupt", PROMPT)
    run.type("p __import__('time').sleep(1) or 'slept'")
    run.type("p 'a' + 'head'")
    run.expect("'slept'", "'ahead'", PROMPT)


@pytest.mark.parametrize("leave", ["q\r", "exit\r", "\x04"])
def test_leaving_the_debugger_lets_the_service_go_on(run: Run, leave: str) -> None:
    run.terminal.send(leave)
    run.expect("done 21 43")
    assert not run.at_prompt
    run.end()


def test_keys_edit_the_line_and_find_earlier_ones(run: Run, tmp_path: Path) -> None:
    run.terminal.send("p 1113\x7f4\x1b[D\x1b[D5\r")
    run.expect("11514", PROMPT)
    run.terminal.send("\x1b[A\r")
    run.expect("11514", PROMPT)
    run.type("c")
    run.expect("done")
    run.end()
    assert (tmp_path / "history").read_text().splitlines() == ["p 11514", "c"]
    again = Run(tmp_path, 1)
    again.expect(PROMPT)
    again.terminal.send("\x1b[A\x1b[A\r")
    again.expect("11514", PROMPT)
    terminals.close(again.terminal)


def test_two_workers_take_turns_and_the_second_says_that_it_waits(tmp_path: Path) -> None:
    run = Run(tmp_path, 3, 3)
    said = ["process \\d+, thread rpc has stopped;", r"has stopped at service\.py:\d+ too, and waits"]
    first = run.terminal.expect([*said])
    run.expect(said[1 - first])
    run.type("p 'both' + 'there'")
    run.expect("boththere", PROMPT)
    for _ in range(2):  # stepping does not let the other in between
        run.type("n")
        run.expect("-> ", PROMPT)
    run.type("c")
    run.expect("has stopped;", r"-> last", PROMPT)
    assert run.at_prompt
    run.type("c")
    run.expect("done 3 7")
    run.end()


def test_the_terminal_is_put_right_after_somebody_was_killed_at_a_prompt(run: Run) -> None:
    descriptor = run.terminal.child_fd
    terminal = Terminal(descriptor, "")
    terminal.recover()
    assert terminal.is_at_prompt(), "somebody is there"
    run.type("import os; os.kill(os.getpid(), 9)")
    deadline = time.monotonic() + 10
    while terminal.is_at_prompt():
        assert time.monotonic() < deadline
        time.sleep(0.05)
        terminal.recover()
    settings = termios.tcgetattr(descriptor)
    assert settings[3] & termios.ECHO
    assert settings[3] & termios.ICANON


@pytest.mark.parametrize("path", sorted(Path(debugger.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_it_is_written_for_old_pythons_and_needs_nothing_else(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    there = {*sys.stdlib_module_names, *(("pudb", "debugpy", "pydevd") if path.name == "others.py" else ())}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] in there for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level or (node.module or "").split(".")[0] in there
