"""While somebody debugs nothing is started again, whatever is saved: at a prompt, in a step, in an editor."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from devswap import foreground
from devswap.debugger import others, terminal
from devswap.errors import Busy
from devswap.foreground import Foreground
from devswap.pty import Terminal
from devswap.reloading import Reloading
from tests.unit import examples


@pytest.fixture
def device() -> Iterator[Terminal]:
    ours, theirs = os.openpty()
    yield Terminal(ours, os.ttyname(theirs))
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time.monotonic() says in foreground.py."""
    now = [100.0]
    monkeypatch.setattr(foreground, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def shown(device: Terminal, *, elsewhere: bool = False) -> Foreground:
    job: Any = SimpleNamespace(poll=lambda: None)
    return Foreground(device, job, lambda: None, lambda read: None, elsewhere=elsewhere)


def test_who_has_let_go_of_a_prompt_still_debugs_until_a_step_would_be_watched(
    device: Terminal, clock: list[float]
) -> None:
    run = shown(device)
    assert not run.is_debugged()
    with terminal.held(device.path, lambda _: None, resuming=False):
        assert run.is_debugged()
    clock[0] += 0.4
    assert run.is_debugged()
    clock[0] += 0.2
    assert not run.is_debugged()


def test_who_has_stopped_in_an_editor_debugs_and_several_may(device: Terminal, clock: list[float]) -> None:
    run = shown(device, elsewhere=True)
    with terminal.occupied(device.path):
        with terminal.occupied(device.path):
            assert run.is_debugged()
        clock[0] += 1
        assert run.is_debugged()
        assert not device.is_at_prompt(), "Ctrl-C ends the service as ever"
        assert not shown(device).is_debugged(), "others than an editor's have a prompt"
    clock[0] += 1
    assert not run.is_debugged()


def test_a_run_without_a_terminal_is_occupied_by_nobody() -> None:
    with terminal.occupied(""):
        pass


def test_what_debugpy_stops_or_steps_occupies_the_terminal_meanwhile(
    device: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, str]] = []
    pydevd, debugpy, told_of = ModuleType("pydevd"), ModuleType("debugpy"), SimpleNamespace(pydev_state=1)
    connected = [1]

    class PyDB:
        next = -1

        def set_additional_thread_info(self, thread: object) -> Any:
            return told_of

        def do_wait_suspend(self, thread: threading.Thread, *, exception_type: str) -> None:
            seen.append((device.is_occupied(), thread.name + exception_type))
            told_of.pydev_step_cmd = self.next

    pydevd.PyDB = PyDB  # type: ignore[attr-defined]
    debugpy.is_client_connected = lambda: bool(connected)  # type: ignore[attr-defined]
    for module in (pydevd, debugpy):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    others._occupy(device.path)
    debugger, thread = PyDB(), threading.main_thread()
    debugger.do_wait_suspend(thread, exception_type="none")
    assert seen == [(True, "MainThreadnone")]
    assert not device.is_occupied()

    def step(name: str, end: Callable[[], None]) -> None:
        told_of.pydev_state, debugger.next = 1, 108
        debugger.do_wait_suspend(thread, exception_type="none")
        until(device.is_occupied, f"a step begins that {name}")
        time.sleep(0.3)
        assert device.is_occupied()
        end()
        until(lambda: not device.is_occupied(), name)

    step("stops", lambda: setattr(told_of, "pydev_state", 2))
    step("leads out of all", lambda: setattr(told_of, "pydev_step_cmd", -1))
    step("nobody looks at any more", lambda: connected.clear())


def test_a_step_of_pudb_has_the_keys_until_it_stops_or_goes_on(
    device: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_prompt: list[bool] = []

    class Debugger:
        """Of pudb, as far as it is used: what is chosen on its screen is to step, and then to go on."""

        ui = SimpleNamespace(screen=SimpleNamespace())
        post_mortem = False

        def __init__(self, **streams: Any) -> None:
            pass

        def set_trace(self, frame: object) -> None:
            self.interaction(frame)

        def set_continue(self) -> None:
            pass

        def interaction(self, frame: object) -> None:
            at_prompt.append(device.is_at_prompt())
            if len(at_prompt) == 2:
                self.set_continue()

    module: Any = ModuleType("pudb.debugger")
    module.Debugger = Debugger
    monkeypatch.setitem(sys.modules, "pudb", ModuleType("pudb"))
    monkeypatch.setitem(sys.modules, "pudb.debugger", module)
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    chosen = others.pudb(device.path, str(tmp_path), lambda _: None)
    chosen.begin(None)
    until(device.is_at_prompt, "the step is watched")
    chosen.begin(None)
    assert at_prompt == [True, True]
    time.sleep(0.4)
    assert not device.is_at_prompt(), "it was let go"


def until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.fixture
def reloading(tmp_path: Path) -> tuple[Reloading, list[float]]:
    """Where one file is saved at the first look; when it was started again."""
    started: list[float] = []
    saved = [{tmp_path / "heat/engine.py"}]
    saves: Any = SimpleNamespace(now=lambda: saved.pop() if saved else set())
    machine: Any = SimpleNamespace(run=lambda *argv, **options: SimpleNamespace(code=0, stdout=""))
    swap = examples.swap(checkout=str(tmp_path))
    return Reloading(machine, swap, saves, started.append, nullcontext, tmp_path / "edited"), started


def test_a_save_waits_until_nobody_debugs_and_is_not_forgotten(
    device: Terminal, clock: list[float], reloading: tuple[Reloading, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reloads, started = reloading
    run = shown(device)
    ended: Callable[[Foreground], None] = lambda _: None  # noqa: E731
    monkeypatch.setattr(reloads, "_end", ended)
    with terminal.held(device.path, lambda _: None, resuming=False):
        reloads.look(run)
        assert started == []
    reloads.look(run)
    assert started == [], "a step has just begun"
    clock[0] += 1
    reloads.look(run)
    assert len(started) == 1
    reloads.look(run)
    assert len(started) == 1


def test_a_save_waits_until_nobody_loads_a_database_of_the_service(
    device: Terminal, reloading: tuple[Reloading, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reloads, started = reloading
    run, said, busy, now = shown(device), list[str](), [True], [time.monotonic()]
    ended: Callable[[Foreground], None] = lambda _: None  # noqa: E731

    @contextmanager
    def free() -> Iterator[None]:
        if busy:
            raise Busy("waiting for the restore of ada")
        yield

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(run, "say", said.append)
    monkeypatch.setattr(reloads, "_end", ended)
    monkeypatch.setattr(reloads, "free", free)
    for _ in range(3):
        now[0] += 2
        reloads.look(run)
    assert started == []
    assert said == ["waiting for the restore of ada"]
    busy.clear()
    now[0] += 2
    reloads.look(run)
    assert len(started) == 1
