"""What holds for every step there is: a new one is tested here as soon as it has an example."""

from __future__ import annotations

import json

import pytest

from devswap import development
from devswap.steps.apache import PointSite, RefreshFront
from devswap.steps.beside import RunBeside
from devswap.steps.hook import RunHook
from devswap.steps.mount import Mount
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.step import Cloud, Step, from_json
from devswap.steps.unit import RunDevelopment
from devswap.steps.values import PutBackValues
from tests.simulated import images, nova
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.unit.steps.examples import COMMAND, UNIT, captured_by, example

STEPS = (*sorted(Step.known), "let-go, by another file", "haproxy, narrowed", "haproxy, alone")
# What is not there any more after a restart of the machine, and is done again then. A mount that is there is left.
REPEATED = [name for name, step in sorted(Step.known.items()) if not (step.outlives_restart or issubclass(step, Mount))]


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest, simulated: SimulatedCloud, cloud: Cloud) -> Step:
    found = example(request.param, simulated)
    if isinstance(found, PointSite):  # it comes after the step that shows a folder of sites
        example("let-go", simulated).do(cloud)
    if isinstance(found, RunDevelopment):  # it comes after the step that holds the unit
        simulated.machine(images.HEAT).write_text(
            development.path(UNIT), development.drop_in("x", COMMAND, terminal=None)
        )
    return found


def test_capture_changes_nothing(step: Step, cloud: Cloud, simulated: SimulatedCloud) -> None:
    before = simulated.take()
    step.capture(cloud)
    assert differences(simulated, before) == []


def test_do_changes_something_and_undo_puts_it_back(step: Step, cloud: Cloud, simulated: SimulatedCloud) -> None:
    captured, before = captured_by(step, cloud), simulated.take()
    step.do(cloud)
    # what these change is a memory, or nothing
    assert (
        isinstance(step, RefreshFront | RunBeside | RunHook | PutBackValues | KeepSqlite)
        or differences(simulated, before) != []
    )
    step.undo(cloud, captured)
    assert without_development(step, differences(simulated, before)) == []


def test_undo_alone_changes_nothing(step: Step, cloud: Cloud, simulated: SimulatedCloud) -> None:
    captured, before = captured_by(step, cloud), simulated.take()
    step.undo(cloud, captured)
    assert without_development(step, differences(simulated, before)) == []


def test_undo_twice_equals_once(step: Step, cloud: Cloud, simulated: SimulatedCloud) -> None:
    captured = captured_by(step, cloud)
    step.do(cloud)
    step.undo(cloud, captured)
    once = simulated.take()
    step.undo(cloud, captured)
    assert differences(simulated, once) == []


@pytest.mark.parametrize("step", REPEATED, indirect=True)
def test_do_twice_is_undone_once(step: Step, cloud: Cloud, simulated: SimulatedCloud) -> None:
    """After a restart of the machine the journal's steps are done again."""
    captured, before = captured_by(step, cloud), simulated.take()
    step.do(cloud)
    step.do(cloud)
    step.undo(cloud, captured)
    assert without_development(step, differences(simulated, before)) == []


def test_a_step_read_back_from_a_journal_is_the_same(step: Step) -> None:
    assert from_json(json.loads(json.dumps(step.as_json()))) == step


def test_a_person_reads_what_it_does_and_how_to_undo_it_by_hand(step: Step, cloud: Cloud) -> None:
    forward, backward = step.describe()
    assert forward
    assert backward
    assert all(
        images.PASSWORD not in line and nova.PASSWORD not in line
        for line in step.by_hand(captured_by(step, cloud), cloud.vault)
    )


def without_development(step: Step, lines: list[str]) -> list[str]:
    """Undoing the run stops whatever runs behind our drop-in; what ran before is HoldUnit's to start again."""
    return [line for line in lines if not (isinstance(step, RunDevelopment) and UNIT in line)]
