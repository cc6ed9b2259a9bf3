"""The way in which a service is taken over holds for its later runs and checkouts, unless they name another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devswap import foreseen, meant, several, swap
from devswap.discovery import units
from devswap.errors import DevswapError, UsageError
from devswap.foreground import Ended
from devswap.journal import Journal
from devswap.tuning import Changes
from devswap.wish import Wish
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences

UWSGI, MOD_WSGI = "heat-api", "keystone"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.with_keystone()
    for name in ("plain", "other"):
        found.checkout(name)
    with no_waiting(monkeypatch):
        yield found


def checkout(cloud: SimulatedCloud, service: str, ref: str, *, detach: bool = False, **more: Any) -> Ended | None:
    wish = Wish(service, ref, None, None, detach, **more)
    return several.checkout_one(cloud.host(), wish, cloud.makers)


def run(cloud: SimulatedCloud, service: str, *, detach: bool = False, **more: Any) -> Ended | None:
    return swap.run(cloud.host(), service, None, detach=detach, **more)


def journal_of(cloud: SimulatedCloud, service: str) -> Journal:
    (found,) = [journal for journal in cloud.host().journals.all() if journal.swap.service == service]
    return found


@pytest.mark.parametrize("service", [UWSGI, MOD_WSGI])
def test_what_was_taken_over_under_its_web_server_stays_there(cloud: SimulatedCloud, service: str) -> None:
    before = cloud.take()
    assert checkout(cloud, service, "plain", apache=True) is None
    assert run(cloud, service) is None
    assert journal_of(cloud, service).swap.mode != "foreground"
    assert swap.plan(cloud.host(), Wish(service, "other", None, None, detach=False), cloud.makers).ref == "other"
    assert checkout(cloud, service, "other") is None
    assert journal_of(cloud, service).swap.ref == "other"
    assert run(cloud, service) is None
    assert several.run(cloud.host(), [service], None, detach=False) is None
    assert journal_of(cloud, service).swap.mode != "foreground"
    swap.restore(cloud.host(), journal_of(cloud, service))
    assert differences(cloud, before) == []


def test_a_run_or_a_checkout_that_names_the_terminal_gets_it_where_uwsgi_runs_the_service(
    cloud: SimulatedCloud,
) -> None:
    checkout(cloud, UWSGI, "plain", apache=True)
    assert run(cloud, UWSGI, foreground=True) is not None
    assert run(cloud, UWSGI) is None, "for that one run"
    assert run(cloud, UWSGI, detach=True) is None
    assert checkout(cloud, UWSGI, "other", foreground=True) is not None
    assert run(cloud, UWSGI) is not None, "which is how it was taken over last"
    assert checkout(cloud, UWSGI, "plain") is not None


@pytest.mark.parametrize("option", ["foreground", "reload", "restore_on_exit"])
def test_apache_has_no_terminal_to_name_and_goes_on(cloud: SimulatedCloud, option: str) -> None:
    checkout(cloud, MOD_WSGI, "plain", apache=True)
    before = cloud.take()
    with pytest.raises(UsageError, match="Apache runs keystone, and has no terminal") as refused:
        run(cloud, MOD_WSGI, **{option: True})
    assert refused.value.hint == "devswap restore keystone, then check out without --apache"
    with pytest.raises(DevswapError, match="is swapped in another way"):
        checkout(cloud, MOD_WSGI, "other", **{option: True})
    assert [line for line in differences(cloud, before) if not line.startswith("left on the disk")] == []


@pytest.mark.parametrize(
    "changes", [Changes(breakpoints=("keystone.api:get",)), Changes(settings={"DEFAULT.debug": "true"})]
)
def test_what_apache_cannot_be_told_is_refused_before_anything_stops(cloud: SimulatedCloud, changes: Changes) -> None:
    before = cloud.take()
    with pytest.raises(UsageError, match="it has no terminal to prompt on") as refused:
        checkout(cloud, MOD_WSGI, "plain", apache=True, changes=changes)
    assert refused.value.hint is not None
    assert refused.value.hint.endswith("devswap checkout keystone plain")
    assert differences(cloud, before) == []
    assert checkout(cloud, MOD_WSGI, "plain", apache=True) is None
    swapped = cloud.take()
    with pytest.raises(UsageError, match="Apache runs keystone, and has no terminal"):
        run(cloud, MOD_WSGI, changes=changes)
    assert cloud.take().digest == swapped.digest


def test_a_second_application_of_one_apache_is_refused_before_anything_stops(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    place = meant.locate_place(cloud.host(), Wish(MOD_WSGI, "plain", None, None, detach=False))
    other = units.examine(place)
    foreseen.require_own_sites(cloud.host(), other)
    for under in (True, False):
        checkout(cloud, MOD_WSGI, "plain", detach=not under, apache=under)
        with pytest.raises(DevswapError, match=r"apache2.service in .* lends its sites to keystone") as refused:
            foreseen.require_own_sites(cloud.host(), other)
        assert refused.value.hint == "devswap restore keystone, then check out again"
        swap.restore(cloud.host(), journal_of(cloud, MOD_WSGI))
        foreseen.require_own_sites(cloud.host(), other)
    assert differences(cloud, before) == []


def test_what_runs_under_a_web_server_is_not_taken_to_a_terminal_by_the_others(cloud: SimulatedCloud) -> None:
    checkout(cloud, UWSGI, "plain", apache=True)
    checkout(cloud, "heat-engine", "plain", detach=True)
    both = (UWSGI, "heat-engine")
    with pytest.raises(UsageError, match="a web server runs heat-api"):
        several.run(cloud.host(), both, None, detach=False)
    ended = several.run(cloud.host(), both, None, detach=False, foreground=True)
    assert ended is not None
    assert sorted(ended) == sorted(both)
