"""What single steps do besides what holds for every one."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from devswap import database_users, owed, systemd
from devswap.errors import DevswapError
from devswap.outage import Outage
from devswap.steps import apache
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Cloud, from_json
from devswap.steps.values import PutBackValues
from tests.simulated import disk, images, nova, web
from tests.simulated.calls import Fault, Kind
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.init import Running
from tests.simulated.mariadb import Table
from tests.simulated.snapshot import Snapshot
from tests.unit.steps.examples import APACHE, LET_GO, ON, RECORDS, SITE, UNIT, captured_by, example


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


@pytest.mark.parametrize(("address", "free"), [("10.0.0.9", True), ("10.0.0.1", False), ("0.0.0.0", False)])
def test_a_port_is_free_where_the_application_has_it(
    simulated: SimulatedCloud, cloud: Cloud, monkeypatch: pytest.MonkeyPatch, address: str, *, free: bool
) -> None:
    """On the host itself HAProxy listens on the same port, at another address."""
    monkeypatch.setattr(apache, "_FREE_SECONDS", 0.1)
    init, let_go = simulated.machine(APACHE.partition(":")[2]).init, example("let-go", simulated)
    init.pid("haproxy.service")
    init.units["haproxy.service"] = Running("active", "running", ["haproxy"], ports=[(address, 5000)])
    if free:
        let_go.do(cloud)
        return
    with pytest.raises(DevswapError, match="still listens on port 5000"):
        let_go.do(cloud)


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


def test_one_that_was_started_while_it_was_made_to_wait_is_restarted_as_it_was(
    simulated: SimulatedCloud, cloud: Cloud
) -> None:
    """It did not run then: a load was interrupted, say, and is brought to its end meanwhile."""
    step, machine, unit = example("lengthen-wait", simulated), simulated.machine(images.HEAT), "heat-api.service"
    machine.run(["systemctl", "stop", "--", unit])
    captured = captured_by(step, cloud)
    step.do(cloud)
    assert not machine.init.is_active(unit)
    machine.run(["systemctl", "start", "--", unit])
    killed = list[Snapshot]()
    simulated.calls.begin(instant=lambda _: killed.append(simulated.take()))
    step.undo(cloud, captured)
    assert [name.rpartition(" ")[0] for name in simulated.calls.names if name.endswith(f"restart -- {unit}")]
    assert machine.init.is_active(unit)
    assert len(killed) > 1
    for each in killed:
        simulated.put_back(each)
        step.undo(cloud, captured)
        assert machine.init.is_active(unit)


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


def test_that_a_load_is_over_is_on_disk_before_anybody_writes_again(
    simulated: SimulatedCloud, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a host that goes down then would load it once more, over what is new."""
    step = example("sync-database", simulated)
    captured = captured_by(step, cloud)
    step.do(cloud)
    with disk.watched(monkeypatch, cloud.vault, simulated.calls):
        simulated.calls.begin()
        step.undo(cloud, captured)
    names = simulated.calls.names
    over = names.index("disk unlink load-has-begun")
    flushed = names.index(f"disk fsync {cloud.vault.name}", over)
    assert flushed < min(number for number, name in enumerate(names) if "systemctl start" in name)


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
