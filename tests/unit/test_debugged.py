"""While somebody debugs nothing is started again, whatever is saved: at a prompt, in a step, in an editor."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from devswap import foreground
from devswap.debugger import others, terminal
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


def test_what_debugpy_stops_occupies_the_terminal_meanwhile(device: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, str]] = []
    pydevd: Any = ModuleType("pydevd")

    class PyDB:
        def do_wait_suspend(self, thread: str, *, exception_type: str) -> None:
            seen.append((device.is_occupied(), thread + exception_type))

    pydevd.PyDB = PyDB
    monkeypatch.setitem(sys.modules, "pydevd", pydevd)
    others._occupy(device.path)
    PyDB().do_wait_suspend("thread", exception_type="none")
    assert seen == [(True, "threadnone")]
    assert not device.is_occupied()


@pytest.fixture
def reloading(tmp_path: Path) -> tuple[Reloading, list[float]]:
    """Where one file is saved at the first look; when it was started again."""
    started: list[float] = []
    saved = [{tmp_path / "heat/engine.py"}]
    saves: Any = SimpleNamespace(now=lambda: saved.pop() if saved else set())
    machine: Any = SimpleNamespace(run=lambda *argv, **options: SimpleNamespace(code=0, stdout=""))
    swap = examples.swap(checkout=str(tmp_path))
    return Reloading(machine, swap, saves, started.append, tmp_path / "edited"), started


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
