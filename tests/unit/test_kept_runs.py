"""A run in the background on a terminal that is kept: it must come up, or what was there before is back."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from devswap import changing, kept_runs, options, several, swap
from devswap.announcement import Announcement
from devswap.errors import Busy, DevswapError, NotServing, NotWhole, UsageError
from devswap.probe import Answer
from devswap.terminal_keeper import SOCKET
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine
from tests.simulated.person import Person

SERVICE = "heat-engine"
BOTH = ("heat-api", SERVICE)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    """Nobody presses Ctrl-C there: what runs on a terminal ends by itself."""
    found = SimulatedCloud(tmp_path)
    for name, fate in (("plain", ""), ("other", ""), ("mute", "mute")):
        found.checkout(name, fate=fate)
    found.ends_by_itself = True
    with no_waiting(monkeypatch):
        yield found


def kept(ref: str) -> Wish:
    return Wish(SERVICE, ref, None, None, detach=False, foreground=True, kept=True)


def never_ends(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud, "person_acts", lambda machine, unit: False)


def test_what_does_not_answer_in_time_is_rolled_back(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cloud.take()
    never_ends(cloud, monkeypatch)
    with pytest.raises(NotServing, match=r"heat-engine does not serve: the queue engine\..* has no consumer"):
        several.checkout_one(cloud.host(), kept("mute"), cloud.makers)
    assert differences(cloud, whole) == []
    assert any("bringing production back" in line for line in cloud.said)


def test_what_ends_before_it_answers_is_rolled_back(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    with pytest.raises(NotServing, match="heat-engine does not serve: it ended with code 0"):
        several.checkout_one(cloud.host(), kept("mute"), cloud.makers)
    assert differences(cloud, whole) == []


def test_what_answered_and_is_ended_stays_swapped(cloud: SimulatedCloud) -> None:
    cloud.ends_by_itself = False
    ended = several.checkout_one(cloud.host(), kept("plain"), cloud.makers)
    assert ended is not None
    assert ended.by_user
    (journal,) = cloud.host().journals.all()
    assert (journal.swap.ref, journal.swap.mode) == ("plain", "foreground")


@pytest.mark.parametrize("services", [(SERVICE,), BOTH])
def test_ctrl_c_before_it_answers_is_rolled_back_as_in_the_background(
    cloud: SimulatedCloud, services: tuple[str, ...]
) -> None:
    whole = cloud.take()
    cloud.ends_by_itself = False
    with pytest.raises(KeyboardInterrupt):
        several.checkout(cloud.host(), services, kept("mute"), cloud.makers)
    assert differences(cloud, whole) == []
    assert "interrupted: bringing " in " ".join(cloud.said)


@pytest.mark.parametrize("services", [(SERVICE,), BOTH])
def test_ctrl_c_once_it_answers_leaves_it_swapped_though_it_has_no_work_yet(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, services: tuple[str, ...]
) -> None:
    def busy(*_: Any) -> Any:
        raise Busy("waiting for ada on pts/1 (process 17)")

    monkeypatch.setattr(changing, "traffic_if_free", busy)
    answered: list[str] = []

    def person_acts(machine: SimulatedMachine, unit: str) -> bool:
        if len(answered) < 12:
            answered.append(unit)
        elif len(answered) == 12:
            answered.append(unit)
            signal.raise_signal(signal.SIGINT)
        else:
            machine.end(unit, "inactive", 0)
            return True
        return False

    monkeypatch.setattr(cloud, "person_acts", person_acts)
    several.checkout(cloud.host(), services, kept("plain"), cloud.makers)
    assert {journal.swap.service for journal in cloud.host().journals.all()} == set(services)


@pytest.mark.parametrize("detach", [True, False])
def test_ctrl_c_before_another_run_answers_leaves_it_swapped_and_says_so(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, *, detach: bool
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    (cloud.folder / "overlays/plain/fate").write_text("mute")
    cloud.ends_by_itself = False
    if detach:
        monkeypatch.setattr(cloud.programs, "is_over", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(NotWhole, match="interrupted; the service is still swapped"):
        swap.run(cloud.host(), SERVICE, None, detach=detach, foreground=not detach, kept=not detach)
    assert [journal.swap.ref for journal in cloud.host().journals.all()] == ["plain"]


def test_a_switch_that_does_not_come_up_goes_back_to_the_checkout_that_runs(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    (before,) = (journal.swap for journal in cloud.host().journals.all())
    never_ends(cloud, monkeypatch)
    with pytest.raises(NotServing):
        several.checkout_one(cloud.host(), kept("mute"), cloud.makers)
    (after,) = (journal.swap for journal in cloud.host().journals.all())
    assert after == before
    assert cloud.machine(images.HEAT).init.is_active("heat-engine.service")


def test_of_several_all_must_come_up(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cloud.take()
    never_ends(cloud, monkeypatch)
    with pytest.raises(NotServing):
        several.checkout(cloud.host(), BOTH, kept("mute"), cloud.makers)
    assert differences(cloud, whole) == []


def test_another_run_that_does_not_come_up_stays_swapped_and_says_how_to_go_on(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    (cloud.folder / "overlays/plain/fate").write_text("mute")
    never_ends(cloud, monkeypatch)
    with pytest.raises(NotWhole, match="does not serve") as caught:
        swap.run(cloud.host(), SERVICE, None, detach=False, foreground=True, kept=True)
    assert "devswap restore heat-engine gives production back" in str(caught.value.hint)
    with pytest.raises(NotWhole, match="does not serve"):
        several.run(cloud.host(), [SERVICE], None, detach=False, foreground=True, kept=True)
    assert [journal.swap.ref for journal in cloud.host().journals.all()] == ["plain"]


class Shown:
    def __init__(self) -> None:
        self.debugged = True
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def is_debugged(self) -> bool:
        return self.debugged


def test_who_is_at_a_prompt_has_all_the_time_there_is_and_the_service_its_own_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown, now, withdrawn = Shown(), [0.0], []
    monkeypatch.setattr("devswap.announcement.time", SimpleNamespace(monotonic=lambda: now[0]))
    question: Any = SimpleNamespace(
        begin=lambda seconds: None, is_answered=lambda: False, withdraw=lambda: withdrawn.append(1)
    )
    no = Answer(serving=False, why="nothing listens")
    told = Announcement(
        shown, "x", "r", question, 0.0, arrived=lambda: None, join=lambda say: None, ask=lambda: no, within=60.0
    )
    for now[0] in (50.0, 500.0):
        told.look()
    shown.debugged = False
    now[0] = 559.0
    told.look()
    now[0] = 561.0
    with pytest.raises(NotServing, match="x does not serve: nothing listens"):
        told.look()
    assert (shown.said, withdrawn) == ([], [1])


# --- who has one ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "at_one", "keeps"),
    [
        ({"detach": True, "terminal": None}, True, True),
        ({"detach": True, "terminal": None}, False, False),
        ({"detach": True, "terminal": False}, True, False),
        ({"detach": True, "terminal": True}, True, True),
        ({"detach": False, "terminal": None}, True, False),
        ({"detach": True, "terminal": None, "apache": True}, True, False),
        ({"detach": True, "terminal": None, "services": 2}, True, False),
        ({"detach": True, "terminal": True, "services": 2}, True, True),
    ],
)
def test_a_person_at_a_terminal_has_one_in_the_background(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], *, at_one: bool, keeps: bool
) -> None:
    at(monkeypatch, at_one=at_one)
    assert options.keeps_terminal(**given) == keeps


@pytest.mark.parametrize(
    ("given", "at_one"),
    [
        ({"detach": False, "terminal": True}, True),
        ({"detach": True, "terminal": True}, False),
        ({"detach": True, "terminal": True, "apache": True}, True),
    ],
)
def test_one_that_is_asked_for_must_mean_something(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], *, at_one: bool
) -> None:
    at(monkeypatch, at_one=at_one)
    with pytest.raises(UsageError, match="--terminal is for"):
        options.keeps_terminal(**given)


def at(monkeypatch: pytest.MonkeyPatch, *, at_one: bool) -> None:
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(getattr(sys, stream), "isatty", lambda: at_one, raising=False)


def test_checkout_and_run_are_begun_on_one_and_go_on_there(
    cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, ...]] = []
    monkeypatch.setattr(options, "keeps_terminal", lambda *, detach, **_: detach)

    def run_here(host: Any, services: Sequence[str]) -> int:
        begun.append(tuple(services))
        return 0

    monkeypatch.setattr(kept_runs, "begin", run_here)
    checkout = several.checkout_one
    wishes: list[Wish] = []

    def one(host: Any, wish: Wish) -> Any:
        wishes.append(wish)
        return checkout(host, wish, cloud.makers)

    monkeypatch.setattr(several, "checkout_one", one)
    person.types("devswap checkout heat-engine plain --detach --wait 5")
    assert (begun, wishes) == ([(SERVICE,)], [])
    with pytest.raises(DevswapError, match="--wait is for --detach"):
        person.types("devswap checkout heat-engine plain --wait 5")
    monkeypatch.setenv(SOCKET, "/nowhere")  # the same command, on the terminal that is kept
    cloud.ends_by_itself = False
    person.types("devswap checkout heat-engine plain --detach --wait 5")
    assert [(wish.kept, wish.detach, wish.foreground) for wish in wishes] == [(True, False, True)]
    monkeypatch.delenv(SOCKET)
    person.types("devswap run heat-engine --detach")
    assert begun == [(SERVICE,), (SERVICE,)]


@pytest.mark.parametrize("peer", [False, True])
def test_the_last_line_names_the_machine_where_the_service_is_swapped_in_several(
    cloud: SimulatedCloud, person: Person, *, peer: bool
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", images.HEAT, None, detach=True), cloud.makers)
    if peer:
        cloud.add_peer()
        swap.checkout(cloud.host(), Wish(SERVICE, "plain", images.HEAT_PEER, None, detach=True), cloud.makers)
    journals = [each for each in cloud.host().journals.all() if each.swap.machine == f"lxc:{images.HEAT}"]
    named = f"{SERVICE} --machine lxc:{images.HEAT}" if peer else SERVICE
    line = kept_runs.how_to_go_on(journals, [SERVICE])
    assert line == (f"{SERVICE} in the background; devswap attach {named} comes back, devswap restore {named} ends it")
    person.types(line.partition("comes back, ")[2].removesuffix(" ends it"))
    assert [each.swap.machine for each in cloud.host().journals.all()] == [f"lxc:{images.HEAT_PEER}"] * peer


def test_several_on_one_terminal_are_named_by_the_machine_of_one_or_by_how_theirs_begin(
    cloud: SimulatedCloud, person: Person
) -> None:
    cloud.add_peer()
    several.checkout(cloud.host(), BOTH, Wish(SERVICE, "plain", images.HEAT, None, detach=True), cloud.makers)
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", images.HEAT_PEER, None, detach=True), cloud.makers)
    both = [each for each in cloud.host().journals.all() if each.swap.machine == f"lxc:{images.HEAT}"]
    assert kept_runs.together(both) == f"heat-api heat-engine --machine lxc:{images.HEAT}"
    assert "devswap attach heat-api comes back" in kept_runs.how_to_go_on(both, BOTH)
    person.types(f"devswap restore {kept_runs.together(both)}")
    assert [each.swap.machine for each in cloud.host().journals.all()] == [f"lxc:{images.HEAT_PEER}"]


def test_who_leaves_before_the_takeover_is_told_the_service_alone() -> None:
    assert "devswap attach heat-api comes back, devswap restore heat-api heat-engine ends it" in (
        kept_runs.how_to_go_on([], BOTH)
    )
