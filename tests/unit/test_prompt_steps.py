"""Ctrl-C while a step runs that takes long: it comes back to the prompt, and ends nothing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pexpect
import pytest

from devswap.debugger import steps as stepping
from devswap.pty import Terminal
from tests.unit import terminals

PROMPT = r"\(Pdb\) "
STEPS = """
import json, os, signal, sys, threading, time
from devswap.debugger import start

start.begin(json.dumps({"terminal": os.ttyname(0), "history": sys.argv[1]}))
import pdb

def slow():
    print("it is slow", flush=True)
    if len(sys.argv) > 4:
        threading.Event().wait()
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.05)

def method():
    pdb.set_trace()
    slow()
    print("after", flush=True)

def other():
    while not os.path.exists(sys.argv[3]):
        time.sleep(0.05)
    pdb.set_trace()
    print("other", flush=True)

threads = [threading.Thread(target=each, daemon=True) for each in (method, other)]
try:
    [each.start() for each in threads]
    [each.join() for each in threads]
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    os._exit(0)
"""


@pytest.fixture
def steps(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[pexpect.spawn[str]]:
    """In a step over a call that takes until there is a file `go`; one `other` makes another thread stop."""
    script = tmp_path / "service.py"
    script.write_text(STEPS)
    argv = [str(script), *(str(tmp_path / name) for name in ("history", "go", "other")), *getattr(request, "param", [])]
    terminal = pexpect.spawn(sys.executable, argv, encoding="utf-8", timeout=20)
    terminal.expect(PROMPT)
    terminal.sendline("n")
    terminal.expect("it is slow")
    wait_for(Terminal(terminal.child_fd, "").is_at_prompt, "its keys are watched")
    yield terminal
    terminals.close(terminal)


def wait_for(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_ctrl_c_while_a_step_runs_comes_back_to_the_prompt_where_it_is(steps: pexpect.spawn[str]) -> None:
    Terminal(steps.child_fd, "").recover()  # it is not taken for one whose owner has died
    steps.sendcontrol("c")
    steps.expect("stops at its next line")
    steps.expect(r"service\.py\(\d+\)slow\(\)")
    steps.expect(PROMPT)
    steps.sendline("c")
    wait_for(lambda: not Terminal(steps.child_fd, "").is_at_prompt(), "it has gone on")
    steps.sendcontrol("c")
    steps.expect("interrupted")


def test_a_step_that_ends_meanwhile_stops_as_ever(steps: pexpect.spawn[str], tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    steps.expect("-> print")
    steps.expect(PROMPT)
    steps.sendline("c")
    steps.expect("after")


def test_a_step_makes_way_for_somebody_else_who_stops(steps: pexpect.spawn[str], tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    steps.expect("too, and waits for this prompt's end")
    steps.expect("has stopped")
    steps.expect(r"-> print\(\"other")
    steps.expect(PROMPT)
    steps.sendline("c")
    steps.expect("other")
    steps.sendcontrol("c")
    steps.expect("interrupted")


@pytest.mark.parametrize("steps", [["blocked"]], indirect=True)
def test_a_second_ctrl_c_lets_go_of_a_step_that_comes_to_no_line_and_a_third_one_is_the_services(
    steps: pexpect.spawn[str],
) -> None:
    steps.sendcontrol("c")
    steps.expect("stops at its next line")
    steps.sendcontrol("c")
    steps.expect("goes on; Ctrl-C again stops the service")
    wait_for(lambda: not Terminal(steps.child_fd, "").is_at_prompt(), "the keys are the service's")
    steps.sendcontrol("c")
    steps.expect("interrupted")


def test_a_greenthread_that_waits_stops_where_its_own_code_is_and_not_in_what_its_thread_does_meanwhile() -> None:
    names: dict[str, Any] = {"__name__": "eventlet.hubs.hub", "look": sys._getframe}
    exec("def switch(found):\n    return found(look())", names)
    watch = stepping.Watch.__new__(stepping.Watch)
    watch._thread = threading.get_ident()

    def found(frame: FrameType) -> tuple[Any, bool]:
        watch._greenlet = SimpleNamespace(gr_frame=frame)  # as greenlet says while it is not its turn
        return watch._frame()

    assert names["switch"](found) == (sys._getframe(), True)
    watch._greenlet = SimpleNamespace(gr_frame=None)
    frame, waits = watch._frame()
    assert (frame.f_code.co_name, waits) == ("_frame", False)
