"""Whoever is waited for is named: which user's process, what it does, since when."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devswap import turns
from devswap.errors import DevswapError
from devswap.journal import Journals
from devswap.overlay_cache import OverlayCache

_HOLD = "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX); print(flush=True); input()"
_TYPED = ["/opt/devswap/bin/devswap", "checkout", "heat-engine", "review/1\x1b[2J"]


@contextmanager
def held(lock: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """By another process, which looks like a devswap that somebody has typed."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(lock), *_TYPED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **environment},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def change(folder: Path, say: Callable[[str], None]) -> None:
    with Journals(folder).changing(seconds=0.1, say=say):
        pass


def fetch(folder: Path, say: Callable[[str], None]) -> None:
    with turns.turn(folder / "lock", say=say, seconds=0.1):
        pass


@pytest.mark.parametrize(("act", "what"), [(change, "changes this host"), (fetch, "fetches for the same project")])
def test_whoever_is_waited_for_is_named(
    tmp_path: Path, act: Callable[[Path, Callable[[str], None]], None], what: str
) -> None:
    said: list[str] = []
    (tmp_path / "lock").touch()
    user = "ada" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with held(tmp_path / "lock", SUDO_USER="ada") as process:
        with pytest.raises(DevswapError, match=rf"{user} \(process {process.pid}: devswap checkout"):
            act(tmp_path, said.append)
        (told,) = said
        who, _, since = told.removesuffix(f"), which {what}").partition(", since ")
        assert who == f"waiting for {user} (process {process.pid}: devswap checkout heat-engine 'review/1?[2J'"
        assert abs(datetime.fromisoformat(since) - datetime.now(UTC)) < timedelta(minutes=5)


def test_whoever_builds_the_same_overlay_is_named(tmp_path: Path) -> None:
    said: list[str] = []

    def told(whom: str) -> None:
        said.append(whom)
        process.kill()

    store = OverlayCache(tmp_path)
    with store.workplace("abc", uid=os.geteuid(), gid=os.getegid(), waiting=said.append):
        (lock,) = tmp_path.rglob(".abc.lock")
    with (
        held(lock, SUDO_USER="ada") as process,
        store.workplace("abc", uid=os.geteuid(), gid=os.getegid(), waiting=told),
    ):
        pass
    assert [f"process {process.pid}: devswap checkout heat-engine 'review/1?[2J'" in line for line in said] == [True]


def test_secrets_on_its_command_line_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "_TYPED", ["devswap", "checkout", "heat", "https://me:hunter2@example.org/heat@x"])
    said: list[str] = []
    with held(tmp_path / "lock"), pytest.raises(DevswapError):
        change(tmp_path, said.append)
    assert "hunter2" not in said[0]
    assert "devswap checkout heat" in said[0]
