"""The promise, on a real cloud: devswap is killed at random instants of a swap with a migration, production comes back.

`--strikes N` says how often; the seed that is printed with a failure repeats it (`DEVSWAP_STRIKES_SEED`).
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable

import pytest

from devswap.sandbox.changes import MIGRATION
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud
from tests.integration.people import Desk
from tests.integration.test_takeover import swaps_here

pytestmark = [pytest.mark.sandbox, pytest.mark.strikes]

Blow = Callable[[subprocess.Popen[str]], None]


def test_production_comes_back_whenever_devswap_is_killed(
    request: pytest.FixtureRequest, cloud: Cloud, desk: Desk, report: Callable[[str], None]
) -> None:
    strikes = request.config.getoption("--strikes")
    seed = int(os.environ.get("DEVSWAP_STRIKES_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(seed)
    line = ("checkout", "heat-engine", f"review/{cloud.change(MIGRATION).number}", "--machine", cloud.heat, "--detach")
    before, kept = cloud.look(), cloud.create_stack()
    length, back = _length(desk, line), _length(desk, ("restore", "heat-engine", "--machine", cloud.heat))
    assert clouds.differences(before, cloud.look()) == []
    met: Counter[str] = Counter()
    for number in range(strikes):
        where = f"strike {number} of seed {seed}"
        blow = (_kill_alone, _kill_with_all_it_started)[number % 2]
        met[_struck(desk, line, chance.uniform(0, length * 1.1), blow)] += 1
        if number % 3 == 2 and swaps_here(desk):  # the way back is not spared either
            again = ("restore", "heat-engine", "--machine", cloud.heat)
            met[f"then its restore {_struck(desk, again, chance.uniform(0, back), blow)}"] += 1
        desk.devswap("restore", *(("heat-engine", "--machine", cloud.heat) if swaps_here(desk) else ()))
        assert clouds.differences(before, cloud.look()) == [], where
        assert cloud.has_stack(kept), where
    cloud.wait_for_production()
    cloud.create_stack()
    told = ", ".join(f"{count} × {what}" for what, count in sorted(met.items()))
    report(f"{cloud.era}: {strikes} strikes survived, nothing lost (seed {seed}): {told}")


def _length(desk: Desk, argv: tuple[str, ...]) -> float:
    began = time.monotonic()
    desk.devswap(*argv)
    return time.monotonic() - began


def _struck(desk: Desk, argv: tuple[str, ...], seconds: float, blow: Blow) -> str:
    """Start devswap, kill it after `seconds`, and tell what it was doing, from the last line it said."""
    with desk.start(*argv) as process:
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            blow(process)
        killed = process.wait() < 0
        said = process.stderr.read() if process.stderr else ""
    return f"killed at {_last(said)!r}" if killed else "had ended before"


def _last(said: str) -> str:
    lines = [line.removeprefix("• ") for line in said.splitlines()]
    return " ".join(lines[-1].split()[:3]) if lines else "its start"


def _kill_alone(process: subprocess.Popen[str]) -> None:
    """What it started inside the machine, and lxc-attach, go on."""
    os.kill(process.pid, signal.SIGKILL)


def _kill_with_all_it_started(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
