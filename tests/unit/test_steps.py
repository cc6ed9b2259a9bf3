"""What holds for every step there is: a new one is tested here as soon as it has an example."""

from __future__ import annotations

import importlib
import json
import pkgutil
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import devswap.steps
from devswap import apache, database_users, development, owed, systemd
from devswap.database_source import Listed, Source
from devswap.errors import DevswapError
from devswap.hooks import Hook
from devswap.outage import Outage
from devswap.steps.apache import LetGo, PointSite, RefreshFront
from devswap.steps.beside import RunBeside
from devswap.steps.database import SyncDatabase
from devswap.steps.file import MakeFile
from devswap.steps.haproxy import ACTIVE, BACKUP, OUT, MoveTraffic
from devswap.steps.hook import RunHook
from devswap.steps.mount import Mount, MountPassing
from devswap.steps.patience import LengthenWait
from devswap.steps.peer import HoldPeer
from devswap.steps.step import Cloud, Step, from_json
from devswap.steps.unit import HoldUnit, OwnUnit, RunDevelopment
from devswap.steps.values import PutBackValues
from tests.simulated import images, nova, web
from tests.simulated.calls import Fault, Kind
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.mariadb import Table

for module in pkgutil.iter_modules(devswap.steps.__path__):
    importlib.import_module(f"devswap.steps.{module.name}")

ON = f"lxc:{images.HEAT}"
UNIT = "heat-engine.service"
SLOT = "/run/devswap/heat-engine/1"
COMMAND = development.Command((f"{SLOT}/overlay/bin/python", f"{SLOT}/overlay/bin/heat-engine"), {}, simple=False)
SOURCE = Source(
    on=ON,
    unit=UNIT,
    config_files=("/etc/heat/heat.conf",),
    group="database",
    option="connection",
    client=f"lxc:{images.GALERA}",
    name="heat",
    address=f"{images.DATABASE_HOST}:3306",
)
_NOVA = replace(SOURCE, on=f"lxc:{nova.MACHINE}", unit="nova-conductor.service", config_files=("/etc/nova/nova.conf",))
_CELL0 = Listed("cell_mappings", "uuid", "database_connection", nova.CELL0_UUID, "database", "connection")
RECORDS = (
    replace(_NOVA, name="nova"),
    replace(_NOVA, group="api_database", name="nova_cell0", listed=_CELL0),
)
HOOK = Hook("/etc/devswap/hooks/heat/stopped", "stopped", "machine", seconds=30, uid=0, text="#!/bin/sh\ntrue\n")
TOLD = {
    "service": "heat-engine",
    "user": "heat",
    "group": "heat",
    "production": {"python": f"{images.VENV}/bin/python"},
    "places": {"machine": {"checkout": f"{SLOT}/checkout"}, "host": {}},
}
APACHE = f"lxc:{images.KEYSTONE}"
SITE = f"{web.SITES}/keystone-httpd.conf"
_SITE = apache.read(images.keystone_site())
LET_GO = apache.without(_SITE, _SITE.running("keystone"))
POINTED = apache.pointed(_SITE, _SITE.running("keystone"), f"{SLOT}/overlay", {})


def example(kind: str, simulated: SimulatedCloud) -> Step:
    overlay = simulated.folder / "overlays" / "migrates"
    drop_in = development.drop_in("heat-engine", COMMAND, terminal=None)
    examples: dict[str, Step] = {
        "mount": Mount(ON, str(overlay), "/run/devswap/heat-engine/2/overlay", readonly=True),
        "mount-passing": MountPassing(ON, str(simulated.folder / "made"), f"{SLOT}/made", readonly=False),
        "hold-unit": HoldUnit(ON, service="heat-engine", unit=UNIT, text=drop_in),
        "run-development": RunDevelopment(ON, service="heat-engine", unit=UNIT),
        "sync-database": SyncDatabase(
            on=ON,
            service="heat-engine",
            project="heat",
            source=SOURCE,
            commands=((f"{SLOT}/overlay/bin/python", f"{SLOT}/overlay/bin/heat-manage", "db_sync"),),
            user="heat",
            group="heat",
            environment=(),
            users=((ON, UNIT), (ON, "heat-api.service"), (f"lxc:{images.HEAT_CFN}", "heat-api-cfn.service")),
            digest="",
        ),
        "put-back-values": PutBackValues(ON, sources=RECORDS, table="services", key="id", column="version"),
        "hold-peer": HoldPeer(ON, service="heat-engine", unit=UNIT, text=development.held("heat-engine")),
        "run-beside": RunBeside(ON, unit="devswap-heat-engine-tests.service"),
        "make-file": MakeFile(ON, path="/etc/sudoers.d/devswap-heat", text="heat ALL = …\n", mode=0o440),
        "run-hook": RunHook(ON, service="heat-engine", hook=HOOK, told=json.dumps(TOLD)),
        "lengthen-wait": LengthenWait(ON, unit="heat-api.service", seconds=3600),
        "own-unit": OwnUnit(
            APACHE, service="keystone", unit="devswap-keystone.service", user="keystone", group="keystone"
        ),
        "let-go": LetGo(APACHE, service="keystone", unit=web.UNIT, path=SITE, text=LET_GO, ports=("5000",)),
        "point-site": PointSite(APACHE, service="keystone", unit=web.UNIT, path=SITE, text=POINTED, before=LET_GO),
        "refresh-front": RefreshFront(
            ON,
            unit=web.UNIT,
            behind="heat-api.service",
            python=f"{images.VENV}/bin/python",
            user="heat",
            addresses=("http://172.29.236.130:8004",),
            ask="/",
        ),
        "haproxy": traffic(((images.OURS, OUT),)),
        "haproxy, narrowed": traffic(((images.OURS, ACTIVE), (images.THEIRS, BACKUP)), patient=(images.OURS,)),
        "haproxy, alone": traffic(((images.OURS, ACTIVE), (images.THEIRS, OUT))),
    }
    return examples[kind]


def traffic(roles: tuple[tuple[str, str], ...], *, patient: tuple[str, ...] = (), stops: bool = True) -> MoveTraffic:
    sources = ("/etc/haproxy/haproxy.cfg",)
    return MoveTraffic(f"lxc:{images.HAPROXY}", sources, roles, patient, ON, (images.OURS,), stops=stops)


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    """With a checkout mounted, as it is before any step that runs something of it."""
    found = SimulatedCloud(tmp_path)
    found.balance()
    found.with_keystone()
    nova.add(found)
    found.checkout("migrates", revisions=("a1", "b2"))
    machine = found.machine(images.HEAT)
    machine.mount(tmp_path / "checkouts" / "migrates", f"{SLOT}/checkout", readonly=True)
    machine.mount(tmp_path / "overlays" / "migrates", f"{SLOT}/overlay", readonly=True)
    with no_waiting(monkeypatch):
        yield found


@pytest.fixture
def cloud(simulated: SimulatedCloud) -> Cloud:
    vault = simulated.state / "vault"
    vault.mkdir(parents=True)
    return Cloud(
        machine=simulated.at,
        vault=vault,
        shared=simulated.state / "shared",
        owed=vault / "owed.json",
        saves=simulated.state / "saved",
        say=simulated.said.append,
        now=lambda: "now",
    )


STEPS = (*sorted(Step.known), "haproxy, narrowed", "haproxy, alone")
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


def captured_by(step: Step, cloud: Cloud) -> object:
    """As it comes back from the journal."""
    found: object = json.loads(json.dumps(step.capture(cloud)))
    return found


def test_capture_changes_nothing(step: Step, cloud: Cloud, simulated: SimulatedCloud) -> None:
    before = simulated.take()
    step.capture(cloud)
    assert differences(simulated, before) == []


def test_do_changes_something_and_undo_puts_it_back(step: Step, cloud: Cloud, simulated: SimulatedCloud) -> None:
    captured, before = captured_by(step, cloud), simulated.take()
    step.do(cloud)
    # what these change is a memory, or nothing
    assert isinstance(step, RefreshFront | RunBeside | RunHook | PutBackValues) or differences(simulated, before) != []
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


def test_a_web_server_that_was_stopped_meanwhile_comes_back_with_production(
    simulated: SimulatedCloud, cloud: Cloud
) -> None:
    let_go, point, machine = example("let-go", simulated), example("point-site", simulated), APACHE.partition(":")[2]
    captured, before = captured_by(let_go, cloud), simulated.take()
    let_go.do(cloud)
    point.do(cloud)
    simulated.machine(machine).end(web.UNIT, "failed", 1)
    point.undo(cloud, {})
    let_go.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_sites_behind_a_link_are_given_back(simulated: SimulatedCloud, cloud: Cloud) -> None:
    """The kernel names what is mounted there by the path behind the link; a journal may have the link's."""
    machine = simulated.machine(APACHE.partition(":")[2])
    images.move_behind_link(machine.files, "/etc/apache2", "/srv/apache2")
    let_go, point = example("let-go", simulated), example("point-site", simulated)
    captured, before = captured_by(let_go, cloud), simulated.take()
    let_go.do(cloud)
    assert machine.files.mounted("/srv/apache2") == ["/srv/apache2/sites-enabled"]
    point.do(cloud)
    point.undo(cloud, {})
    let_go.undo(cloud, captured)
    assert machine.files.mounts == []
    assert differences(simulated, before) == []


def test_a_folder_among_the_sites_is_shown_with_them(simulated: SimulatedCloud, cloud: Cloud) -> None:
    machine = simulated.machine(APACHE.partition(":")[2])
    images.put(machine.files, f"{web.SITES}/backup/old.conf", "# old\n")
    machine.files.link(f"{web.SITES}/backup/link.conf", "../other.conf")
    let_go = example("let-go", simulated)
    captured, before = captured_by(let_go, cloud), simulated.take()
    let_go.do(cloud)
    assert machine.read_text(SITE) == LET_GO
    assert machine.read_text(f"{web.SITES}/backup/old.conf") == "# old\n"
    assert (cloud.vault / "sites/backup/link.conf").readlink() == Path("../other.conf")
    let_go.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_the_sites_of_another_swap_are_not_covered(simulated: SimulatedCloud, cloud: Cloud) -> None:
    example("let-go", simulated).do(cloud)
    with pytest.raises(DevswapError, match="something is mounted"):
        example("let-go", simulated).capture(cloud)


def test_a_held_unit_is_started_by_nobody(simulated: SimulatedCloud, cloud: Cloud) -> None:
    example("hold-unit", simulated).do(cloud)
    machine = simulated.machine(images.HEAT)
    refused = machine.run(["systemctl", "start", "--", UNIT], ok=(1,))
    assert "Assertion failed" in refused.stderr
    assert not machine.init.is_active(UNIT)


def test_a_unit_that_did_not_run_is_not_started_by_its_undo(simulated: SimulatedCloud, cloud: Cloud) -> None:
    machine, step = simulated.machine(images.HEAT), example("hold-unit", simulated)
    machine.run(["systemctl", "stop", "--", UNIT])
    captured = captured_by(step, cloud)
    step.do(cloud)
    step.undo(cloud, captured)
    assert not machine.init.is_active(UNIT)


def test_rows_written_after_the_dump_are_saved_before_it_is_loaded(simulated: SimulatedCloud, cloud: Cloud) -> None:
    step = example("sync-database", simulated)
    captured = captured_by(step, cloud)
    step.do(cloud)
    schema = simulated.schema(images.ACCOUNT)
    schema.execute("INSERT INTO `event` VALUES (99)")
    step.undo(cloud, captured)
    assert "(99)" not in schema.table("event").rows
    assert [path.name for path in cloud.saves.iterdir()] == ["heat-engine-now.sql.gz"]
    assert any("1 rows of event leave" in line for line in simulated.said)


def test_rows_stay_where_the_schema_is_the_same(simulated: SimulatedCloud, cloud: Cloud) -> None:
    step = example("sync-database", simulated)
    captured = captured_by(step, cloud)
    simulated.schema(images.ACCOUNT).execute("INSERT INTO `event` VALUES (99)")
    step.undo(cloud, captured)
    assert "(99)" in simulated.schema(images.ACCOUNT).table("event").rows
    assert not cloud.saves.exists()


def test_a_load_that_was_interrupted_among_its_last_rows_is_done_again(simulated: SimulatedCloud, cloud: Cloud) -> None:
    """Its schema and its revision are those of a whole one."""
    step = example("sync-database", simulated)
    captured, before = captured_by(step, cloud), simulated.take()
    step.do(cloud)
    simulated.calls.begin()
    step.undo(cloud, captured)
    number = next(number for number, name in enumerate(simulated.calls.names) if "-- MariaDB dump" in name)
    last = simulated.calls.parts[number] - 1
    step.do(cloud)
    simulated.calls.begin(Fault(number, Kind.HALF, last))
    with pytest.raises(DevswapError):
        step.undo(cloud, captured)
    simulated.calls.begin()
    step.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_what_is_half_loaded_is_not_left_so_where_its_save_is_gone(simulated: SimulatedCloud, cloud: Cloud) -> None:
    step = example("sync-database", simulated)
    captured = captured_by(step, cloud)
    step.do(cloud)
    (cloud.vault / "load-has-begun").touch()
    with pytest.raises(DevswapError, match="cannot load the dump"):
        step.keep(cloud, captured)
    assert (cloud.vault / "load-has-begun").exists()


def test_a_neighbour_that_does_not_start_keeps_nobody_else_from_it(simulated: SimulatedCloud, cloud: Cloud) -> None:
    step = example("sync-database", simulated)
    captured = captured_by(step, cloud)
    neighbour = (f"lxc:{images.HEAT_CFN}", "heat-api-cfn.service")
    simulated.machine(images.HEAT_CFN).run(["systemctl", "stop", "--", neighbour[1]])
    (cloud.vault / "stopped-for-the-load.json").write_text(json.dumps([(ON, "broken.service"), neighbour]))
    step.undo(cloud, captured)
    assert simulated.machine(images.HEAT_CFN).init.is_active(neighbour[1])
    assert any("cannot start broken.service" in line for line in simulated.said)
    assert json.loads(cloud.owed.read_text()) == [[ON, "broken.service"]]
    assert "systemctl start broken.service" in owed.settle(cloud)[0]


def test_what_is_left_as_it_is_keeps_its_dump_and_starts_its_users(simulated: SimulatedCloud, cloud: Cloud) -> None:
    step = example("sync-database", simulated)
    captured = captured_by(step, cloud)
    simulated.machine(images.HEAT).run(["systemctl", "stop", "--", "heat-api.service"])
    (cloud.vault / "stopped-for-the-load.json").write_text(json.dumps([(ON, "heat-api.service")]))
    step.keep(cloud, captured)
    step.keep(cloud, captured)
    assert simulated.machine(images.HEAT).init.is_active("heat-api.service")
    assert [path.name for path in cloud.saves.iterdir()] == ["before-heat-engine-now.sql.gz"]
    assert (cloud.vault / "database.sql.gz").exists()


def test_the_stop_of_what_answers_begins_its_outage_and_that_of_another_does_not(cloud: Cloud) -> None:
    """A graceful reload of a web server has none, but the load of a database stops the web server, too."""
    on = f"lxc:{images.HEAT}"
    own, other = (on, "heat-engine.service"), (on, "heat-api.service")
    for stopped, is_told in ((other, False), (own, True)):
        watched = replace(cloud, outage=Outage(own))
        database_users.stop(watched, [stopped])
        database_users.start(watched)
        watched.outage.end()
        assert (watched.outage.seconds is not None) == is_told


def test_what_was_asked_beforehand_is_not_asked_in_the_outage(simulated: SimulatedCloud, cloud: Cloud) -> None:
    step = example("sync-database", simulated)
    assert isinstance(step, SyncDatabase)
    looked = step.looked_at(cloud.machine, cloud.vault)
    assert captured_by(looked, cloud) == captured_by(step, cloud)
    simulated.calls.begin()
    looked.capture(cloud)
    assert not any("COUNT" in name or "--no-data" in name for name in simulated.calls.names)
    assert from_json(json.loads(json.dumps(looked.as_json()))) == looked


def test_a_held_unit_whose_gate_is_open_is_stopped_before_it_is_let_go(simulated: SimulatedCloud, cloud: Cloud) -> None:
    held, run = example("hold-unit", simulated), example("run-development", simulated)
    captured, before = captured_by(held, cloud), simulated.take()
    held.do(cloud)
    run.do(cloud)
    systemd.start(simulated.machine(images.HEAT), UNIT)
    held.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_a_step_that_leaves_ends_its_own_migration(simulated: SimulatedCloud, cloud: Cloud) -> None:
    step, machine = example("sync-database", simulated), simulated.machine(images.HEAT)
    machine.make_transient("devswap-heat-engine-db-sync.service", ["sleep"])
    step.leave(cloud)
    assert not machine.init.is_active("devswap-heat-engine-db-sync.service")


def test_versions_are_put_back_as_the_numbers_that_they_are_made_of(simulated: SimulatedCloud, cloud: Cloud) -> None:
    """cinder notes such ones; 1.9 is older than 1.39."""
    rows = simulated.schema(nova.CELL1).tables["records"] = Table(
        "`id` int, `version` varchar(36)", ["(1,'1.39')", "(2,'1.9')", "(3,'NULL')"]
    )
    step = PutBackValues(ON, sources=RECORDS[:1], table="records", key="id", column="version")
    captured = step.capture(cloud)
    rows.rows[:] = ["(1,'1.40')", "(2,'1.40')", "(3,'NULL')", "(4,'1.40')", "(5,'1.8')"]
    (line,) = step.by_hand(captured, cloud.vault)
    sql = shlex.split(line)[-1]
    assert sql.endswith("WHEN '1' THEN '1.39' WHEN '2' THEN '1.9' WHEN '3' THEN NULL ELSE '1.39' END")
    step.undo(cloud, captured)
    shown = simulated.schema(nova.CELL1).select(("id", "version"), "records")
    assert shown == ["1\t1.39", "2\t1.9", "3\tNULL", "4\t1.39", "5\t1.8"]
