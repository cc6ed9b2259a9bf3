"""A project's own unit tests run beside production or beside a swap, and leave nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import claims, status, swap, testing, unit_tests
from devswap.claims import Holder
from devswap.errors import DevswapError, UsageError
from devswap.overlay import Request
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine
from tests.simulated.person import Person, Presses
from tests.simulated.snapshot import Snapshot

SERVICE, TESTS = "heat-engine", "tests:heat-engine"
FOLDER = f"/run/devswap/{SERVICE}-tests"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    for name in ("plain", "other"):
        found.checkout(name)
    (tmp_path / "checkouts" / "plain" / ".stestr.conf").write_text("[DEFAULT]\ntest_path=./heat/tests\n")
    (tmp_path / "checkouts" / "plain" / "test-requirements.txt").write_text(
        "# what the tests need\ntempest>=17\noslotest>=3.2.0 # Apache-2.0\n-e git+https://nowhere/x\n"
    )
    with no_waiting(monkeypatch):
        yield found


def run(cloud: SimulatedCloud, *arguments: str, ref: str | None = None, runner: str | None = None) -> int:
    return unit_tests.run(cloud.host(), SERVICE, None, arguments, ref=ref, runner=runner, makers=cloud.makers)


def take_over(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)


def test_of_a_ref_beside_production(cloud: SimulatedCloud, whole: Snapshot) -> None:
    assert run(cloud, "heat.tests.engine", ref="plain") == 0
    checkout = str(cloud.folder / "checkouts" / "plain")
    assert cloud.tested == [(checkout, "stestr", "run", "heat.tests.engine")]
    assert run(cloud, "fails", ref="other") == 3
    assert cloud.tested[1][1:] == ("pytest", "-p", "no:cacheprovider", "fails")
    assert differences(cloud, whole) == []


def test_what_is_typed_is_all_that_a_runner_is_told(cloud: SimulatedCloud) -> None:
    take_over(cloud)
    for runner, words in (("stestr", ["last"]), ("pytest", ["-x"])):
        told = unit_tests.run(
            cloud.host(), SERVICE, None, words, ref=None, runner=runner, typed=True, makers=cloud.makers
        )
        assert told == 0
    assert [words[1:] for words in cloud.tested] == [("stestr", "last"), ("pytest", "-p", "no:cacheprovider", "-x")]


def test_of_what_is_swapped_in_which_goes_on(cloud: SimulatedCloud, whole: Snapshot) -> None:
    take_over(cloud)
    before = cloud.take()
    assert run(cloud, "-x", runner="pytest") == 0
    assert cloud.tested == [(str(cloud.folder / "checkouts" / "plain"), "pytest", "-p", "no:cacheprovider", "-x")]
    assert [line for line in differences(cloud, before) if not line.startswith("left on the disk")] == []
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


def test_they_have_an_overlay_of_their_own_with_what_they_need(cloud: SimulatedCloud) -> None:
    built: list[tuple[Request, str, str]] = []

    def build(machine: Any, request: Request, slot: Any, *, unit: str, **more: Any) -> Any:
        built.append((request, slot.overlay, unit))
        return cloud.makers.build(machine, request, slot, unit=unit, **more)

    makers = replace(cloud.makers, build=build)
    unit_tests.run(cloud.host(), SERVICE, None, [], ref="plain", runner=None, makers=makers)
    ((request, overlay, unit),) = built
    assert request.tools == ("oslotest>=3.2.0", "stestr")
    assert overlay == f"{FOLDER}/1/overlay"
    assert unit == f"devswap-{SERVICE}-tests-overlay.service"


def test_they_can_neither_write_nor_reach_anything(cloud: SimulatedCloud) -> None:
    lines: list[Any] = []
    popen = SimulatedMachine.popen

    def noted(self: SimulatedMachine, argv: Any, **more: Any) -> Any:
        lines.append(argv)
        return popen(self, argv, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SimulatedMachine, "popen", noted)
        run(cloud, ref="plain")
    (line,) = [line for line in lines if f"--unit=devswap-{SERVICE}-tests.service" in line]
    told = {word.removeprefix("--property=") for word in line if word.startswith("--property=")}
    assert {
        "PrivateNetwork=yes",
        "PrivateTmp=yes",
        "ProtectSystem=strict",
        f"ReadWritePaths={FOLDER}/1/bytecode",
    } <= told
    assert "--uid=heat" in line


def test_without_a_swap_it_must_be_told_what_to_test(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="not swapped") as caught:
        run(cloud)
    assert caught.value.hint == f"devswap test {SERVICE} --ref REF tests that, beside it"
    assert "runner" in Person(cloud, monkeypatch).is_told("test", SERVICE, "--runner", "nose", code=2).message


def test_an_interrupted_run_is_shown_and_taken_away(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_killed(cloud)
    (journal,) = cloud.host().journals.all()
    shown = status.of(cloud.host(), journal)
    assert (shown.service, shown.state, shown.healthy) == (TESTS, "interrupted", False)
    machine = cloud.machine(images.HEAT)
    machine.run(["systemd-run", "--quiet", "--unit=devswap-heat-engine-tests.service", "--", "sleep", "9"])
    with claims.claim(cloud.host().journals.claim_path(TESTS, f"lxc:{images.HEAT}"), holder(cloud), busy=print):
        assert status.of(cloud.host(), journal).healthy
        with pytest.raises(DevswapError, match="run already"):
            run(cloud, ref="plain")
    Person(cloud, monkeypatch).types(f"devswap restore {TESTS}")
    assert not machine.init.is_active("devswap-heat-engine-tests.service")
    assert differences(cloud, whole) == []


def test_the_next_run_takes_away_what_an_interrupted_one_left(cloud: SimulatedCloud, whole: Snapshot) -> None:
    run_killed(cloud)
    assert run(cloud, ref="other") == 0
    assert differences(cloud, whole) == []


def test_ctrl_c_and_more_of_it_leave_nothing_mounted(cloud: SimulatedCloud, whole: Snapshot) -> None:
    for first in range(1000):
        cloud.calls.begin(instant=Presses(first, "unmount"))
        interrupted = False
        try:
            run(cloud, ref="plain")
        except KeyboardInterrupt:
            interrupted = True
        cloud.calls.begin()
        assert differences(cloud, whole) == [], first
        if not interrupted:
            break
    assert first > 3


def run_killed(cloud: SimulatedCloud) -> None:
    """What is mounted stays."""

    def dies(*_: object) -> None:
        raise MemoryError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(testing, "_end", dies)
        with pytest.raises(MemoryError):
            run(cloud, ref="plain")


def holder(cloud: SimulatedCloud) -> Holder:
    return Holder(cloud.host().owner, "test")
