"""The host's lock is held for seconds: whoever has nothing to do with a swap does not notice it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devswap import narrowing, rotation, swap, systemd, traffic
from devswap.database import Database
from devswap.errors import DevswapError
from devswap.hooks import read
from devswap.journal import Journals
from devswap.migrating import Migrating
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.unit.midst import (
    API,
    ENGINE,
    check_out,
    impatient,
    in_a_slow_job_of,
    in_the_midst_of,
    is_free,
    journal,
    restore,
)

UNIT, HOOK = f"{ENGINE}.service", f"devswap-{ENGINE}-hook.service"
LONG = {
    "the dump": (Database, "dump", ""),
    "the migration": (Migrating, "run", ""),
    "a hook": (systemd, "run_in_unit", HOOK),
}
LONG_BACK = {
    "the save": (Database, "dump", ""),
    "the load": (Database, "load", ""),
    "the wait for statements": (Database, "wait_for_statements", ""),
    "the stop of another user": (systemd, "begin_to_stop", f"{API}.service"),
}


@pytest.mark.parametrize("what", LONG)
def test_another_project_is_taken_over_and_given_back_in_the_midst_of_a_takeover(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    cloud.hooks = [read("/hooks/heat/stopped", "stopped", 0, "#!/bin/sh\n# devswap: run-on = machine\ntrue\n")]
    cloud.with_keystone()
    start = cloud.take()
    where, name, of = LONG[what]
    with in_the_midst_of(monkeypatch, where, name, lambda: pass_by(cloud), of=of) as done:
        check_out(cloud.host(), cloud, ENGINE, "migrates")
    assert done
    restore(cloud.host(), cloud, ENGINE)
    assert differences(cloud, start) == []


@pytest.mark.parametrize("what", LONG_BACK)
def test_another_project_is_taken_over_and_given_back_in_the_midst_of_a_restore(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    cloud.with_keystone()
    start = cloud.take()
    check_out(cloud.host(), cloud, ENGINE, "migrates")
    where, name, of = LONG_BACK[what]
    with in_the_midst_of(monkeypatch, where, name, lambda: pass_by(cloud), of=of) as done:
        restore(cloud.host(), cloud, ENGINE)
    assert done
    assert differences(cloud, start) == []


@pytest.mark.parametrize(
    ("verb", "during"), [("stop", "checkout"), ("stop", "run"), ("stop", "back"), ("start", "back")]
)
def test_another_project_goes_on_while_a_unit_takes_its_time(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, verb: str, during: str
) -> None:
    cloud.with_keystone()
    start, host = cloud.take(), cloud.host()
    commands: dict[str, Callable[[], object]] = {
        "checkout": lambda: check_out(host, cloud, ENGINE, "plain"),
        "run": lambda: swap.run(host, ENGINE, None, detach=True),
        "back": lambda: restore(host, cloud, ENGINE),
    }
    for name, command in commands.items():
        with in_a_slow_job_of(monkeypatch, verb if name == during else "", UNIT, lambda: pass_by(cloud)) as done:
            command()
        assert bool(done) == (name == during)
    assert differences(cloud, start) == []


@pytest.mark.parametrize("verb", ["stop", "start"])
def test_the_lock_is_kept_for_what_is_done_at_once(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """To have it again may take as long as others hold it, and meanwhile nobody serves."""
    check_out(cloud.host(), cloud, ENGINE, "plain")
    held: list[bool] = []
    look = lambda: held.append(not is_free(cloud.state / "lock"))  # noqa: E731
    with in_the_midst_of(monkeypatch, systemd, verb, look, of=UNIT):
        restore(cloud.host(), cloud, ENGINE)
    assert held == [True]


@pytest.mark.parametrize("what", ["drain", "wait_until_it_answers"])
@pytest.mark.parametrize("during", ["checkout", "back"])
@pytest.mark.parametrize("stays", [True, False])
def test_others_move_their_traffic_while_haproxys_requests_end_and_its_servers_come(
    cloud: SimulatedCloud,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    during: str,
    stays: bool,  # noqa: FBT001
) -> None:
    cloud.balance()
    start, host = cloud.take(), cloud.host()
    stranger = impatient(cloud.host(user="ben", uid=1000))

    def move() -> None:
        narrowing.narrow(stranger, "other", to="one", exclusive=False)
        if not stays:
            swap.restore(stranger, narrowing.find(stranger, "other"))

    if during == "back":
        check_out(host, cloud, API, "plain")
    with in_the_midst_of(monkeypatch, rotation, what, move) as done:
        check_out(host, cloud, API, "plain") if during == "checkout" else restore(host, cloud, API)
    assert done
    assert cloud.haproxy.serving("other-back") == ["other-back/one", "other-back/two"][: 1 if stays else 2]
    if stays:
        swap.restore(stranger, narrowing.find(stranger, "other"))
    if during == "checkout":
        assert cloud.haproxy.serving(images.BACKEND) == [images.OURS]
        restore(host, cloud, API)
    assert differences(cloud, start) == []


def test_others_move_their_traffic_while_requests_end_of_whom_a_narrowing_takes_out(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.balance()
    start = cloud.take()
    stranger = impatient(cloud.host(user="ben", uid=1000))

    def move() -> None:
        narrowing.narrow(stranger, "other", to="one", exclusive=False)

    with in_the_midst_of(monkeypatch, rotation, "drain", move) as done:
        narrowing.narrow(cloud.host(), API, to=images.HEAT, exclusive=True)
    assert done
    assert cloud.haproxy.serving(images.BACKEND) == [images.OURS]
    assert cloud.haproxy.serving("other-back") == ["other-back/one"]
    for name in (API, "other"):
        swap.restore(cloud.host(), narrowing.find(cloud.host(), name))
    assert differences(cloud, start) == []


def test_the_lock_is_let_go_while_who_has_rested_is_waited_for(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.balance()
    host = cloud.host()
    check_out(host, cloud, API, "plain")
    free: list[bool] = []
    with host.changing() as changed:
        traffic.rest(changed, journal(cloud, API))
        look = lambda: free.append(is_free(cloud.state / "lock"))  # noqa: E731
        with in_the_midst_of(monkeypatch, rotation, "wait_until_it_answers", look):
            traffic.put_in(changed, journal(cloud, API), patient=False)
    assert free == [True]
    assert cloud.haproxy.serving(images.BACKEND) == [images.OURS]


def pass_by(cloud: SimulatedCloud) -> None:
    """Somebody who takes keystone over and gives it back, and does not wait for anybody."""
    stranger = impatient(cloud.host(user="ben", uid=1000))
    check_out(stranger, cloud, "keystone", "plain")
    restore(stranger, cloud, "keystone")


def test_the_lock_is_let_go_aside_and_held_again_whatever_goes_wrong_there(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with Journals(tmp_path).changing() as held:
        assert not is_free(lock)
        with held.aside():
            with held.aside():
                assert is_free(lock)
            assert is_free(lock)
        with pytest.raises(DevswapError), held.aside():
            raise DevswapError("the load fails")
        assert not is_free(lock)
    with held.aside():  # nobody holds it any more
        assert is_free(lock)
    assert is_free(lock)
