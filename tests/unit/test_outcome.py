"""The last line of a run says what is: another devswap may have given the service back by then."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from devswap import claims, outcome, swap
from devswap.claims import Holder
from devswap.errors import NotWhole
from devswap.foreground import Ended
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud

ENGINE, API = "heat-engine", "heat-api"


@pytest.fixture
def taken(cloud: SimulatedCloud) -> Iterator[SimulatedCloud]:
    for service in (ENGINE, API):
        swap.checkout(cloud.host(), Wish(service, "plain", None, None, detach=True), cloud.makers)
    before = signal.getsignal(signal.SIGINT)
    yield cloud
    signal.signal(signal.SIGINT, before)


def restore(cloud: SimulatedCloud, service: str) -> None:
    (journal,) = [each for each in cloud.host().journals.all() if each.swap.service == service]
    swap.restore(cloud.host(), journal)


def test_what_nobody_has_touched_since_is_still_swapped(
    taken: SimulatedCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome.show_run(taken.host(), ENGINE, Ended(by_user=True))
    assert capsys.readouterr().err.startswith("heat-engine is stopped, and still swapped\n")
    with pytest.raises(NotWhole, match="production is still held"):
        outcome.show_run(taken.host(), ENGINE, Ended(by_user=False))


@pytest.mark.parametrize("by_user", [True, False])
def test_what_another_has_restored_is_not_said_to_be_swapped(
    taken: SimulatedCloud, capsys: pytest.CaptureFixture[str], *, by_user: bool
) -> None:
    restore(taken, ENGINE)
    outcome.show_run(taken.host(), ENGINE, Ended(by_user=by_user))
    said = capsys.readouterr().err
    assert said.startswith("heat-engine has ended here, and is given back")
    assert "swapped" not in said


def test_what_another_is_about_to_restore_is_not_said_to_be_swapped(
    taken: SimulatedCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    ben = taken.host(user="ben")
    path = ben.journals.claim_path(ENGINE, f"lxc:{images.HEAT}")
    with claims.claim(path, Holder(ben.owner, claims.RESTORE), busy=print):
        outcome.show_run(taken.host(), ENGINE, Ended(by_user=True))
    said = capsys.readouterr().err
    assert (
        said == "heat-engine has ended here, and is in the hands of ben on pts/0 (process 4242) now: devswap restore\n"
    )


def test_of_several_only_those_are_still_swapped_that_are(
    taken: SimulatedCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    restore(taken, ENGINE)
    ended = {ENGINE: Ended(by_user=False), API: Ended(by_user=True)}
    outcome.show_runs(taken.host(), [ENGINE, API], ended)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("heat-engine has ended here, and is given back")
    assert rest == [
        "heat-api is stopped, and still swapped",
        "  again: devswap run heat-api    back: devswap restore heat-api",
    ]


def test_a_swap_that_another_runs_now_is_that_ones(taken: SimulatedCloud, capsys: pytest.CaptureFixture[str]) -> None:
    host = taken.host()
    outcome.show_run(replace(host, owner=replace(host.owner, pid=1)), ENGINE, Ended(by_user=True))
    assert "run by another devswap" in capsys.readouterr().err
