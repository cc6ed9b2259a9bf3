"""What `--restore-on-exit` leaves behind when devswap is killed: a process that becomes `devswap restore`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

DEVSWAP = """
import sys, time
from devswap.watcher import Watcher
watcher = Watcher("heat-engine", "lxc:nowhere")
print("watches", flush=True)
sys.stdin.readline()
watcher.dismiss()
"""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="devswap restores as root alone")


def started(state: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", DEVSWAP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DEVSWAP_STATE_DIR": str(state)},
        process_group=0,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "watches\n"
    return process


def logged(state: Path) -> str:
    return "".join(path.read_text() for path in state.glob("log/*.log"))


def test_a_kill_of_all_that_devswap_had_started_is_followed_by_a_restore(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        os.killpg(process.pid, 9)
    until = time.monotonic() + 30
    while "restore heat-engine" not in logged(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    assert "restore heat-engine --machine lxc:nowhere" in logged(tmp_path)


def test_one_that_has_given_its_service_back_leaves_nothing_to_follow(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        process.communicate("\n", timeout=30)
    assert process.returncode == 0
    assert logged(tmp_path) == ""
