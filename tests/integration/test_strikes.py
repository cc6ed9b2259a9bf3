"""The promise, on a real cloud: devswap is killed in the middle of a swap with a migration, and production comes back.

Two strikes of three fall where the journal has just changed, which is each step's boundary; the others at random
instants. After every fifth the machine is restarted. `--strikes N` says how often; the seed that is printed with a
failure repeats it (`DEVSWAP_STRIKES_SEED`).
"""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from devswap.sandbox.changes import MIGRATION
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.test_meanwhile import journal_of
from tests.integration.test_takeover import state_folder, swaps_here

pytestmark = [pytest.mark.sandbox, pytest.mark.strikes]

Blow = Callable[[subprocess.Popen[str]], None]
ROW = "strike-"


@dataclass(frozen=True)
class Course:
    """How a command goes where nothing disturbs it."""

    argv: tuple[str, ...]
    seconds: float
    journals: tuple[str, ...]
    """What its journal held, in order."""


@dataclass(frozen=True)
class Strike:
    """One kill: of `course`, when its journal holds `journal`, or after `seconds`."""

    course: Course
    journal: str | None
    seconds: float
    blow: Blow


def test_production_comes_back_whenever_devswap_is_killed(
    request: pytest.FixtureRequest, cloud: Cloud, desk: Desk, report: Callable[[str], None]
) -> None:
    strikes = request.config.getoption("--strikes")
    seed = int(os.environ.get("DEVSWAP_STRIKES_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(seed)
    cloud.wait_for_production()
    before, kept = cloud.look(), cloud.create_stack()
    change = f"review/{cloud.change(MIGRATION).number}"
    over = _course(desk, ("checkout", "heat-engine", change, "--machine", cloud.heat, "--detach"))
    back = _course(desk, ("restore", "heat-engine", "--machine", cloud.heat))
    assert clouds.differences(before, cloud.look()) == []
    boundaries = _boundaries(over, back)
    met: Counter[str] = Counter()
    for number in range(strikes):
        where = f"strike {number} of seed {seed}"
        blow = (_kill_alone, _kill_with_all_it_started)[number % 2]
        if number % 3 < 2:
            course, journal = boundaries[(number - number // 3) % len(boundaries)]
            strike = Strike(course, journal, 5 * course.seconds, blow)
        else:
            strike = Strike(over, None, chance.uniform(0, over.seconds * 1.1), blow)
        if strike.course is back:
            desk.devswap(*over.argv)
            row = _write_row(cloud, number)
            met[_struck(desk, strike)] += 1
        else:
            met[_struck(desk, strike)] += 1
            row = _write_row(cloud, number)
        if number % 3 == 2 and swaps_here(desk):  # the way back is not spared either
            again = Strike(back, None, chance.uniform(0, back.seconds), blow)
            met[f"then its restore {_struck(desk, again)}"] += 1
        restarted = number % 5 == 4
        if restarted:
            _restart(cloud)
            met["then the machine was restarted"] += 1
        if swaps_here(desk):
            desk.devswap(*back.argv)
        if restarted:
            cloud.wait_for_production()
        assert clouds.differences(before, cloud.look()) == [], where
        assert cloud.has_stack(kept), where
        met[_where_row_is(cloud, row, where)] += 1
        print(f"{cloud.era}: {where} survived: {dict(met)}", flush=True)
    cloud.wait_for_production()
    cloud.create_stack()
    told = ", ".join(f"{count} × {what}" for what, count in sorted(met.items()))
    report(f"{cloud.era}: {strikes} strikes survived, nothing lost (seed {seed}): {told}")


def _course(desk: Desk, argv: tuple[str, ...]) -> Course:
    began, seen = time.monotonic(), []
    with desk.start(*argv) as process:
        while process.poll() is None:
            held = _journal(desk)
            if held is not None and held not in seen:
                seen.append(held)
            time.sleep(0.0005)
        said = process.stderr.read() if process.stderr else ""
    assert process.returncode == 0, said
    return Course(argv, time.monotonic() - began, tuple(seen))


def _boundaries(over: Course, back: Course) -> list[tuple[Course, str]]:
    """Every one, those between production's stop and its start first."""
    found = [(over, held) for held in over.journals] + [(back, held) for held in back.journals]
    return sorted(found, key=lambda one: "hold-unit" not in one[1])


def _journal(desk: Desk) -> str | None:
    """Its mode and its steps."""
    try:
        read = json.loads(journal_of(desk.cloud).read_text())
    except FileNotFoundError:
        return None
    return " ".join([read["swap"]["mode"], *(entry["step"]["kind"] for entry in read["entries"])])


def _struck(desk: Desk, strike: Strike) -> str:
    """Start devswap, kill it when its time has come, and tell what it was doing, from the last line it said."""
    with desk.start(*strike.course.argv) as process:
        deadline = time.monotonic() + strike.seconds
        while process.poll() is None and time.monotonic() < deadline:
            if strike.journal is not None and _journal(desk) == strike.journal:
                break
            time.sleep(0.0005)
        if process.poll() is None:
            strike.blow(process)
        killed = process.wait() < 0
        said = process.stderr.read() if process.stderr else ""
    if not killed:
        return "had ended before"
    if strike.journal is not None:
        verb, (mode, *kinds) = strike.course.argv[0], strike.journal.split()
        return f"{verb} killed with {len(kinds)} steps noted, {mode}" + (f", last {kinds[-1]}" if kinds else "")
    return f"killed at {_last(said)!r}"


def _last(said: str) -> str:
    lines = [line.removeprefix("• ") for line in said.splitlines()]
    return " ".join(lines[-1].split()[:3]) if lines else "its start"


def _kill_alone(process: subprocess.Popen[str]) -> None:
    """What it started inside the machine, and lxc-attach, go on."""
    os.kill(process.pid, signal.SIGKILL)


def _kill_with_all_it_started(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)


def _restart(cloud: Cloud) -> None:
    # uWSGI that is told to end while it loads its application takes a minute
    subprocess.run(["lxc-stop", "-n", cloud.heat, "-r", "-t", "150"], check=True)
    states = ("running", "degraded")
    wait_until(
        lambda: cloud.run(["systemctl", "is-system-running"], ok=False).stdout.strip() in states, "the machine is back"
    )


def _write_row(cloud: Cloud, number: int) -> str:
    """As whoever serves now would: a template that nobody uses."""
    name = f"{ROW}{os.getpid()}-{number}"
    cloud.sql(f"INSERT INTO raw_template (created_at, template) VALUES (NOW(), '\"{name}\"')")
    return name


def _where_row_is(cloud: Cloud, name: str, where: str) -> str:
    """In the database, or in a save where a dump was loaded: in one of the two."""
    there = cloud.sql(f"SELECT COUNT(*) FROM raw_template WHERE template = '\"{name}\"'") == "1"
    cloud.sql(f"DELETE FROM raw_template WHERE template = '\"{name}\"'")
    saved = any(_holds(path, name) for path in (state_folder() / "saved").glob("*.sql.gz"))
    assert there != saved, f"{where}: the row {name} is in the database: {there}, in a save: {saved}"
    return "its row stayed" if there else "its row is in the save"


def _holds(save: Path, name: str) -> bool:
    with gzip.open(save, "rt", errors="replace") as text:
        return any(f"{name}\\" in line for line in text)  # the sign after it is a quotation mark, escaped
