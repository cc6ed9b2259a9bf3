"""The prompt inside a service, on a real terminal: forked workers that have lost their session and their input."""

from __future__ import annotations

import ast
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import pexpect
import pytest

from devswap import debugger
from devswap.debugger import steps as stepping
from devswap.pty import Terminal

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
    started.terminal.close(force=True)


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
    terminal.close(force=True)


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
    again.terminal.close(force=True)


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


UNHANDLED = """
import json, logging, os, sys, threading
from devswap.debugger import start

start.begin(json.dumps({"terminal": os.ttyname(0), "history": sys.argv[1], "post_mortem": True}))

def method(number):
    raise ValueError(f"bad {number}")

def caught(number, level):
    try:
        method(number)
    except ValueError as error:
        logging.getLogger("service").log(level, "it failed: %s", error)

caught(1, logging.INFO)
caught(2, logging.ERROR)
thread = threading.Thread(target=method, args=(3,))
thread.start()
thread.join()
print("went on")
"""


def test_an_exception_that_is_logged_as_an_error_or_ends_a_thread_opens_the_prompt_where_it_was_raised(
    tmp_path: Path,
) -> None:
    script = tmp_path / "service.py"
    script.write_text(UNHANDLED)
    terminal = pexpect.spawn(sys.executable, [str(script), str(tmp_path / "history")], encoding="utf-8", timeout=20)
    for number in (2, 3):
        terminal.expect(f"has stopped at ValueError: bad {number};")
        terminal.expect(r"-> raise ValueError")
        terminal.expect(PROMPT)
        terminal.sendline("p number * 100")
        terminal.expect(f"{number}00")
        terminal.expect(PROMPT)
        terminal.sendline("q")
    terminal.expect("went on")
    terminal.expect(pexpect.EOF)


SERVED = """
import importlib, json, os, sys, types
from devswap.debugger import start

start.begin(json.dumps({"terminal": os.ttyname(0), "history": sys.argv[1], "post_mortem": True}))
from wsgiref import handlers, util

def application(environ, start_response):
    raise ValueError("up to " + environ["SERVER_SOFTWARE"])

environ = {"SERVER_SOFTWARE": "wsgiref"}
util.setup_testing_defaults(environ)
handlers.SimpleHandler(sys.stdin.buffer, sys.stdout.buffer, sys.stderr, environ).run(application)
sys.modules["uwsgi"] = types.ModuleType("uwsgi")
sys.path.insert(0, os.path.dirname(sys.argv[1]))
served = importlib.import_module("served").application
assert served.name == "its own"
try:
    served({"SERVER_SOFTWARE": "uWSGI"}, None)
except ValueError:
    print("went up")
"""


def test_what_a_wsgi_application_raises_opens_the_prompt_though_its_server_prints_it_only(tmp_path: Path) -> None:
    script, module = tmp_path / "server.py", tmp_path / "served.py"
    script.write_text(SERVED)
    module.write_text(
        "def application(environ, start_response):\n    raise ValueError('up to ' + environ['SERVER_SOFTWARE'])\n"
        "application.name = 'its own'\n"
    )
    terminal = pexpect.spawn(sys.executable, [str(script), str(tmp_path / "history")], encoding="utf-8", timeout=20)
    for name in ("wsgiref", "uWSGI"):
        terminal.expect(f"has stopped at ValueError: up to {name}")
        terminal.expect(PROMPT)
        terminal.sendline("p 'look' + 'ed'")
        terminal.expect("looked")
        terminal.sendline("q")
    terminal.expect("went up")
    terminal.expect(pexpect.EOF)


def test_without_a_terminal_breakpoints_are_passed_and_said(tmp_path: Path) -> None:
    script = tmp_path / "service.py"
    script.write_text(
        "from devswap.debugger import start\nstart.begin('{}')\nbreakpoint()\nprint('went on')\nbreakpoint()\n"
    )
    shown = pexpect.run(f"{sys.executable} {script}", encoding="utf-8")
    assert "passed the breakpoint at" in shown
    assert "service.py:3" in shown
    assert "went on" in shown


@pytest.mark.parametrize("path", sorted(Path(debugger.__file__).parent.glob("*.py")), ids=lambda path: path.name)
def test_it_is_written_for_old_pythons_and_needs_nothing_else(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    there = {*sys.stdlib_module_names, *(("pudb", "debugpy", "pydevd") if path.name == "others.py" else ())}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] in there for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level or (node.module or "").split(".")[0] in there
