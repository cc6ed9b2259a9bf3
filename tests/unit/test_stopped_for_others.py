"""A load stops all that uses its database: what others swap of that waits, be it an Apache that runs two projects."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from devswap import changing, database_claims, running, swap, traffic
from devswap.database import Database
from devswap.host import Host
from devswap.probe import Answer
from devswap.running import Start
from devswap.wish import Wish
from tests.simulated import images, web
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.unit.midst import Waits, impatient, in_the_midst_of

SECOND = "aio1-keystone-second-container"
ACCOUNT = (images.DATABASE_HOST, "keystone", images.PASSWORD, "keystone")
HORIZON_VENV = "/openstack/venvs/horizon-12.0.0"
HORIZON = f"""# Ansible managed
Listen 10.0.0.1:80
<VirtualHost 10.0.0.1:80>
    WSGIDaemonProcess horizon user=heat group=heat python-home={HORIZON_VENV}
    WSGIProcessGroup horizon
    WSGIScriptAlias / /var/www/horizon/wsgi.py
</VirtualHost>
"""


# --- one Apache that runs two projects ---------------------------------------------------------------------------


@pytest.fixture
def two_keystones(cloud: SimulatedCloud) -> SimulatedCloud:
    """keystone in two machines; in one of them Apache runs horizon, too."""
    cloud.with_keystone()
    files = cloud.machine(images.KEYSTONE).files
    images.put(files, f"{HORIZON_VENV}/bin/python", "\x7fELF")
    images.put(files, f"{web.SITES}/openstack-dashboard.conf", HORIZON)
    cloud.machine(images.KEYSTONE).boot()
    cloud.boot(SECOND, images.keystone())
    return cloud


def check_out(cloud: SimulatedCloud, service: str, machine: str, host: Host | None = None, **options: Any) -> None:
    wish = Wish(service, "plain", machine, None, detach=False, apache=True, **options)
    swap.checkout(host or cloud.host(), wish, cloud.makers)


def migrated_by_hand(cloud: SimulatedCloud) -> None:
    """What is loaded back, as development's own doing."""
    cloud.schema(ACCOUNT).execute("ALTER TABLE `alembic_version` ADD COLUMN `note` int")


def restore(cloud: SimulatedCloud, host: Host, service: str) -> None:
    (journal,) = [each for each in cloud.host().journals.all() if each.swap.service == service]
    swap.restore(host, journal)


ACTS: dict[str, Callable[[SimulatedCloud, Host], object]] = {
    "restore": lambda cloud, host: restore(cloud, host, "horizon"),
    "run": lambda cloud, host: swap.run(host, "horizon", None, detach=True),
    "checkout": lambda cloud, host: check_out(cloud, "horizon", images.KEYSTONE, host),
}


@pytest.mark.parametrize(
    ("act", "swapped"), [*((act, True) for act in ACTS), ("checkout", False)], ids=[*ACTS, "first checkout"]
)
def test_an_apache_that_is_stopped_for_a_load_of_one_project_is_not_started_for_another(
    two_keystones: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, act: str, *, swapped: bool
) -> None:
    cloud = two_keystones
    start, apache = cloud.take(), cloud.machine(images.KEYSTONE).init
    check_out(cloud, "keystone", SECOND, snapshot=True)
    if swapped:
        check_out(cloud, "horizon", images.KEYSTONE)
    migrated_by_hand(cloud)

    def other() -> None:
        assert not apache.is_active(web.UNIT)
        with pytest.raises(Waits, match="its restore of keystone works on the database keystone"):
            ACTS[act](cloud, impatient(cloud.host(user="ben")))
        assert not apache.is_active(web.UNIT)

    with in_the_midst_of(monkeypatch, Database, "load", other) as done:
        restore(cloud, cloud.host(), "keystone")
    assert done
    assert apache.is_active(web.UNIT)
    if swapped:
        restore(cloud, cloud.host(), "horizon")
    assert differences(cloud, start) == []


# --- what has been taken over and is about to start ---------------------------------------------------------------

STARTS: dict[str, Callable[[Host, Start], object]] = {
    "in the background": lambda host, start: running.detached(host, start, seconds=60, serving=lambda: None),
    "on a terminal": lambda host, start: running.begun(host, start.journal).__enter__(),
}


@pytest.mark.parametrize("how", STARTS)
def test_development_does_not_start_while_others_work_on_its_database(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A load that began when production had stopped already has not stopped it."""
    start, init = cloud.take(), cloud.machine(images.HEAT).init
    check_out_api(cloud)
    ready = list[Start]()
    with monkeypatch.context() as patched:
        patched.setattr(swap, "detached", lambda host, start: ready.append(start))
        swap.checkout(cloud.host(), Wish("heat-engine", "migrates", None, None, detach=True), cloud.makers)
    (api,) = [each for each in cloud.host().journals.all() if each.swap.service == "heat-api"]
    with (
        database_claims.held(cloud.host(), api, "restore"),
        pytest.raises(Waits, match="its restore of heat-api works on the database heat"),
    ):
        STARTS[how](impatient(cloud.host(user="ben")), ready[0])
    assert not init.is_active(ENGINE)
    for service in ("heat-engine", "heat-api"):
        restore(cloud, cloud.host(), service)
    assert differences(cloud, start) == []


# --- peers of a service that has no database of its own -----------------------------------------------------------

ENGINE = "heat-engine.service"


@pytest.fixture
def elsewhere(cloud: SimulatedCloud) -> SimulatedCloud:
    """heat-engine in two machines; that of the second has a database that devswap cannot work on."""
    cloud.add_peer()
    cloud.checkout("bare", revisions=())
    conf, here = f"{images.VENV}/etc/heat/heat.conf", cloud.machine(images.HEAT_PEER)
    here.write_text(conf, (here.read_text(conf) or "").replace("mysql+pymysql", "postgresql"))
    cloud.said.clear()
    return cloud


def check_out_only(cloud: SimulatedCloud, host: Host) -> None:
    wish = Wish("heat-engine", "bare", f"lxc:{images.HEAT_PEER}", None, detach=True, only=True)
    swap.checkout(host, wish, cloud.makers)


def check_out_api(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), Wish("heat-api", "migrates", None, None, detach=True), cloud.makers)


def put_in(cloud: SimulatedCloud, host: Host) -> None:
    (journal,) = [each for each in cloud.host().journals.all() if each.swap.service == "heat-engine"]
    with changing.traffic(host, journal, "run") as changed:
        traffic.put_in(changed, journal, patient=False)


def take_out(cloud: SimulatedCloud, host: Host) -> None:
    (journal,) = [each for each in cloud.host().journals.all() if each.swap.service == "heat-engine"]
    with changing.traffic(host, journal, "run") as changed:
        traffic.take_out(changed, journal)


PEER_ACTS: dict[str, Callable[[SimulatedCloud, Host], object]] = {
    "checkout": check_out_only,
    "put in": put_in,
    "take out": take_out,
    "restore": lambda cloud, host: restore(cloud, host, "heat-engine"),
}


@pytest.mark.parametrize("act", PEER_ACTS)
def test_a_peer_is_neither_stopped_nor_started_for_others_while_a_load_has_it_stopped(
    elsewhere: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    cloud = elsewhere
    start, peer = cloud.take(), cloud.machine(images.HEAT).init
    check_out_api(cloud)
    if act != "checkout":
        check_out_only(cloud, cloud.host())
    if act == "put in":
        take_out(cloud, cloud.host())
        assert peer.is_active(ENGINE)

    def other() -> None:
        assert not peer.is_active(ENGINE)
        with pytest.raises(Waits, match="its restore of heat-api works on the database heat"):
            PEER_ACTS[act](cloud, impatient(cloud.host(user="ben")))
        assert not peer.is_active(ENGINE)

    with in_the_midst_of(monkeypatch, Database, "load", other) as done:
        restore(cloud, cloud.host(), "heat-api")
    assert done
    if act == "checkout":
        check_out_only(cloud, cloud.host())
    assert peer.is_active(ENGINE) == (act == "put in")
    restore(cloud, cloud.host(), "heat-engine")
    assert peer.is_active(ENGINE)
    assert differences(cloud, start) == []


def test_a_terminal_goes_on_while_its_service_cannot_have_its_peers_work_yet(
    elsewhere: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited here would wait for ever, since the load goes on in the same thread."""
    cloud, host = elsewhere, elsewhere.host()
    start, peer = cloud.take(), cloud.machine(images.HEAT).init
    check_out_api(cloud)
    check_out_only(cloud, host)
    take_out(cloud, host)
    (journal,) = [each for each in host.journals.all() if each.swap.service == "heat-engine"]
    mute, said = Mute(), list[str]()
    shown: Any = SimpleNamespace(say=said.append, is_debugged=lambda: False)
    begun = Start(journal, time.monotonic(), mute)  # type: ignore[arg-type]
    serving = partial(swap.put_in_while_shown, host, journal)
    told = running.announced(host, begun, shown, serving, within=60)
    now, naps = [time.monotonic()], list[float]()

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) > 1000:
            raise Waits("the terminal")

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", nap)

    def look() -> None:
        mute.answers = True
        for _ in range(20):
            now[0] += 10
            told.look()
            assert not told.is_over

    with in_the_midst_of(monkeypatch, Database, "load", look):
        restore(cloud, cloud.host(), "heat-api")
    assert peer.is_active(ENGINE)
    now[0] += 10
    told.look()
    assert told.is_over
    assert not peer.is_active(ENGINE)
    waits, *rest = [line for line in said if "heat-engine" in line or "waiting" in line]
    assert waits.startswith("waiting for ada on pts/0 (process 4242): its restore of heat-api works on the database")
    assert [line.partition(";")[0] for line in rest] == ["heat-engine answers from bare"]
    restore(cloud, host, "heat-engine")
    assert differences(cloud, start) == []


class Mute:
    """A question that has no answer yet."""

    def __init__(self) -> None:
        self.answers = False

    def begin(self, *, seconds: float) -> None:
        pass

    def is_answered(self) -> bool:
        return self.answers

    def answer(self) -> Answer:
        return Answer(serving=True, why="it does")

    def withdraw(self) -> None:
        pass
