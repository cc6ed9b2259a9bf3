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

from devswap.sandbox import changes
from devswap.sandbox.changes import HARMLESS, MIGRATION
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.test_haproxy import shown
from tests.integration.test_meanwhile import journal_of
from tests.integration.test_takeover import state_folder, swaps_here
from tests.integration.web import look

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
    journal = journal_of(cloud)
    over = _course(desk, journal, ("checkout", "heat-engine", change, "--machine", cloud.heat, "--detach"))
    back = _course(desk, journal, ("restore", "heat-engine", "--machine", cloud.heat))
    assert clouds.differences(before, cloud.look()) == []
    boundaries = _boundaries(over, back)
    met: Counter[str] = Counter()
    for number in range(strikes):
        where = f"strike {number} of seed {seed}"
        blow = (kill_alone, kill_with_all_it_started)[number % 2]
        if number % 3 < 2:
            course, held = boundaries[(number - number // 3) % len(boundaries)]
            strike = Strike(course, held, 5 * course.seconds, blow)
        else:
            strike = Strike(over, None, chance.uniform(0, over.seconds * 1.1), blow)
        if strike.course is back:
            desk.devswap(*over.argv)
            row = _write_row(cloud, number)
            met[_struck(desk, journal, strike)] += 1
        else:
            met[_struck(desk, journal, strike)] += 1
            row = _write_row(cloud, number)
        if number % 3 == 2 and swaps_here(desk):  # the way back is not spared either
            again = Strike(back, None, chance.uniform(0, back.seconds), blow)
            met[f"then its restore {_struck(desk, journal, again)}"] += 1
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


@pytest.mark.parametrize("way", ["--detach", "--apache"])
def test_keystone_and_its_traffic_come_back_whenever_devswap_is_killed(
    request: pytest.FixtureRequest, cloud: Cloud, desk: Desk, report: Callable[[str], None], way: str
) -> None:
    """Behind HAProxy, in and before Apache: strikes of its restore and of its takeover, more of them with --strikes."""
    strikes = max(2, request.config.getoption("--strikes") // 4)
    seed = int(os.environ.get("DEVSWAP_STRIKES_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(seed)
    place, other = (name for name in cloud.containers if "-keystone-" in name.replace("_", "-"))
    before, journal = _keystones(cloud, desk, place, other), journal_of(cloud, "keystone", place)
    change = f"review/{changes.change('keystone', HARMLESS, cloud.era).number}"
    over = _course(desk, journal, ("checkout", "keystone", change, "--machine", place, way))
    back = Course(("restore", "keystone", "--machine", place), over.seconds / 2, ())
    first = next(number for number, held in enumerate(over.journals) if " haproxy" in held)
    boundaries = chance.sample(over.journals[first:], len(over.journals) - first)
    met: Counter[str] = Counter()
    try:
        for number in range(strikes):
            where = f"strike {number} of seed {seed}"
            blow = chance.choice((kill_alone, kill_with_all_it_started))
            if number % 2 == 0:  # the first one meets what the course has left
                if number:
                    desk.devswap(*over.argv)
                strike = Strike(back, None, chance.uniform(0, back.seconds), blow)
            else:
                strike = Strike(over, boundaries[number % len(boundaries)], 5 * over.seconds, blow)
            met[_struck(desk, journal, strike)] += 1
            if journal.exists():
                desk.devswap(*back.argv)
            assert clouds.differences(before, _keystones(cloud, desk, place, other)) == [], where
            print(f"{cloud.era}: {where} survived: {dict(met)}", flush=True)
    finally:
        if journal.exists():
            desk.devswap(*back.argv)
    told = ", ".join(f"{count} × {what}" for what, count in sorted(met.items()))
    report(f"{cloud.era}: keystone {way}: {strikes} strikes survived (seed {seed}): {told}")


def _keystones(cloud: Cloud, desk: Desk, *containers: str) -> dict[str, str]:
    """Both, HAProxy's files, and what it makes of its servers as it runs."""
    roles = [f"{server['server']} {server['role']}" for server in shown(desk, "keystone_service")]
    return {**look(cloud, *containers), "roles": "\n".join(roles)}


def _course(desk: Desk, journal: Path, argv: tuple[str, ...]) -> Course:
    began, seen = time.monotonic(), []
    with desk.start(*argv) as process:
        while process.poll() is None:
            held = _journal(journal)
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


def _journal(path: Path) -> str | None:
    """Its mode and its steps."""
    try:
        read = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return " ".join([read["swap"]["mode"], *(entry["step"]["kind"] for entry in read["entries"])])


def _struck(desk: Desk, journal: Path, strike: Strike) -> str:
    """Start devswap, kill it when its time has come, and tell what it was doing, from the last line it said."""
    with desk.start(*strike.course.argv) as process:
        deadline = time.monotonic() + strike.seconds
        while process.poll() is None and time.monotonic() < deadline:
            if strike.journal is not None and _journal(journal) == strike.journal:
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


def kill_alone(process: subprocess.Popen[str]) -> None:
    """What it started inside the machine, and lxc-attach, go on."""
    os.kill(process.pid, signal.SIGKILL)


def kill_with_all_it_started(process: subprocess.Popen[str]) -> None:
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
