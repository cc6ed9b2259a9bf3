"""Moving traffic: what others do to HAProxy meanwhile, what keeps it from loading, and who gets requests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import balancer as balancers
from devswap import haproxy_edits, rotation
from devswap import traffic as traffic_of
from devswap.deployment import Front
from devswap.discovery import units
from devswap.errors import DevswapError, Postponed
from devswap.haproxy_edits import Edit
from devswap.service import load_catalogue
from devswap.steps.haproxy import ACTIVE, BACKUP, IN, OUT, MoveTraffic
from devswap.steps.step import Cloud
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.machine import SimulatedMachine

CFG, FRAGMENT = "/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d/heat_api"
API = "heat-api.service"


def traffic(*roles: tuple[str, str], stops: bool = True) -> MoveTraffic:
    on, of = f"lxc:{images.HAPROXY}", f"lxc:{images.HEAT}"
    return MoveTraffic(on, (CFG,), roles, (), of, (images.OURS,), stops=stops)


TAKE_OUT = traffic((images.OURS, OUT))
NARROW = traffic((images.OURS, ACTIVE), (images.THEIRS, BACKUP))


@pytest.fixture
def simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.balance()
    monkeypatch.setattr(rotation, "ANSWER_SECONDS", 0.0)
    with no_waiting(monkeypatch):
        yield found


@pytest.fixture
def cloud(simulated: SimulatedCloud, tmp_path: Path) -> Cloud:
    return Cloud(
        machine=simulated.at,
        vault=tmp_path,
        shared=tmp_path / "shared",
        owed=tmp_path / "owed.json",
        saves=tmp_path / "saved",
        say=simulated.said.append,
        now=lambda: "now",
    )


@pytest.fixture
def machine(simulated: SimulatedCloud) -> SimulatedMachine:
    return simulated.machine(images.HAPROXY)


def captured_by(step: MoveTraffic, cloud: Cloud) -> Any:
    return json.loads(json.dumps(step.capture(cloud)))


def edit(machine: SimulatedMachine, path: str, old: str, new: str) -> None:
    """As somebody else does it."""
    text = machine.read_text(path) or ""
    assert text.count(old) == 1
    machine.write_text(path, text.replace(old, new))


def reload(machine: SimulatedMachine) -> None:
    machine.run(["systemctl", "reload", "--", "haproxy.service"])


def test_the_file_and_its_fragment_carry_what_the_socket_was_told(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    TAKE_OUT.do(cloud)
    assert simulated.haproxy.servers[images.OURS].status == "MAINT"
    line = f"    server {images.HEAT}   {images.ADDRESSES[images.HEAT]}:8004 check port 8004 inter 12000 rise 3 fall 3"
    for path in (CFG, FRAGMENT):
        assert f"{line} disabled\n" in (machine.read_text(path) or "")
    reload(machine)
    assert simulated.haproxy.servers[images.OURS].status == "MAINT"


def test_a_peer_that_answers_takes_the_requests_though_haproxy_still_thinks_it_down(
    simulated: SimulatedCloud, cloud: Cloud
) -> None:
    """For half a minute after it was stopped for a load of the database, say."""
    simulated.haproxy.servers[images.THEIRS].up = False
    TAKE_OUT.do(cloud)
    assert simulated.haproxy.serving(images.BACKEND) == [images.THEIRS]


def test_narrowed_traffic_goes_to_one_and_to_the_others_when_that_fails(
    simulated: SimulatedCloud, cloud: Cloud
) -> None:
    NARROW.do(cloud)
    assert simulated.haproxy.serving(images.BACKEND) == [images.OURS]
    simulated.haproxy.servers[images.OURS].up = False
    assert simulated.haproxy.serving(images.BACKEND) == [images.THEIRS]


def test_a_folder_that_somebody_makes_among_the_fragments_meanwhile_keeps_nothing_from_coming_back(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    captured, before = captured_by(NARROW, cloud), machine.read_text(FRAGMENT)
    NARROW.do(cloud)
    images.put(machine.files, "/etc/haproxy/conf.d/backup/heat_api", "backend old\n")
    NARROW.undo(cloud, captured)
    assert machine.read_text(FRAGMENT) == before
    assert sorted(simulated.haproxy.serving(images.BACKEND)) == sorted([images.OURS, images.THEIRS])


def test_what_others_change_in_other_lines_is_kept(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    captured = captured_by(NARROW, cloud)
    NARROW.do(cloud)
    edit(machine, CFG, "balance leastconn", "balance roundrobin")
    edit(machine, FRAGMENT, "# both of them", "# theirs and ours")
    NARROW.undo(cloud, captured)
    text, fragment = machine.read_text(CFG) or "", machine.read_text(FRAGMENT) or ""
    assert text == (images.balancer().read(CFG) or b"").decode().replace("leastconn", "roundrobin")
    assert fragment == (images.balancer().read(FRAGMENT) or b"").decode().replace("both of them", "theirs and ours")


def test_a_line_of_ours_that_others_have_changed_stops_the_way_back_until_it_is_mended(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    before, captured = simulated.take(), captured_by(NARROW, cloud)
    NARROW.do(cloud)
    edit(machine, CFG, "rise 3 fall 3 backup", "rise 3 fall 9 backup")
    changed = machine.read_text(CFG)
    with pytest.raises(DevswapError, match=r"haproxy\.cfg was .*: server aio1-heat-peer of backend heat_api-back is"):
        NARROW.undo(cloud, captured)
    assert machine.read_text(CFG) == changed
    edit(machine, CFG, "rise 3 fall 9 backup", "rise 3 fall 3 backup")
    NARROW.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_where_production_still_waits_to_be_started_such_a_line_waits(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    step = traffic((images.OURS, ACTIVE), (images.THEIRS, BACKUP), stops=False)
    captured = captured_by(step, cloud)
    step.do(cloud)
    edit(machine, CFG, "rise 3 fall 3 backup", "rise 3 fall 9 backup")
    with pytest.raises(Postponed, match="changed by somebody else meanwhile"):
        step.undo(cloud, captured)
    assert "rise 3 fall 9 backup" in (machine.read_text(CFG) or "")


def test_an_error_that_was_there_before_is_reported_and_nothing_is_changed(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    edit(machine, CFG, "balance leastconn", "nonsense")
    before = simulated.take()
    with pytest.raises(DevswapError, match="unknown keyword 'nonsense'"):
        NARROW.do(cloud)
    assert differences(simulated, before) == []


def test_an_error_made_meanwhile_does_not_keep_our_lines_in_the_file(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    before, captured = simulated.take(), captured_by(TAKE_OUT, cloud)
    TAKE_OUT.do(cloud)
    edit(machine, CFG, "balance leastconn", "nonsense")
    with pytest.raises(DevswapError, match="an error that is not devswap's"):
        TAKE_OUT.undo(cloud, captured)
    assert "disabled" not in (machine.read_text(CFG) or "")
    assert simulated.haproxy.servers[images.OURS].status == "UP"
    edit(machine, CFG, "nonsense", "balance leastconn")
    TAKE_OUT.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_where_production_still_waits_to_be_started_its_peers_take_over_at_run_time(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    TAKE_OUT.do(cloud)
    put_in = traffic((images.OURS, ACTIVE), (images.THEIRS, BACKUP), stops=False)
    captured = captured_by(put_in, cloud)
    put_in.do(cloud)
    edit(machine, CFG, "balance leastconn", "nonsense")
    put_in.undo(cloud, captured)
    assert simulated.haproxy.serving(images.BACKEND) == [images.THEIRS]
    assert any("an error that is not devswap's" in line for line in simulated.said)


def test_a_reload_tells_the_new_process_what_only_the_old_one_knew(simulated: SimulatedCloud, cloud: Cloud) -> None:
    captured = captured_by(TAKE_OUT, cloud)
    other = simulated.haproxy.servers
    other["other-back/one"].up = False
    other["other-back/two"].admin, other["other-back/two"].weight = 8, 7
    before = simulated.take()
    TAKE_OUT.do(cloud)
    now = simulated.haproxy.servers
    assert (now["other-back/one"].up, now["other-back/two"].admin, now["other-back/two"].weight) == (False, 8, 7)
    TAKE_OUT.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_maintenance_that_somebody_had_ordered_at_run_time_comes_back(simulated: SimulatedCloud, cloud: Cloud) -> None:
    simulated.haproxy.servers[images.OURS].admin = 1
    before, captured = simulated.take(), captured_by(NARROW, cloud)
    NARROW.do(cloud)
    assert simulated.haproxy.serving(images.BACKEND) == [images.OURS]
    NARROW.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_somebody_elses_reload_in_between_changes_nothing(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    before, captured = simulated.take(), captured_by(NARROW, cloud)
    NARROW.do(cloud)
    reload(machine)
    assert simulated.haproxy.serving(images.BACKEND) == [images.OURS]
    NARROW.undo(cloud, captured)
    reload(machine)
    assert differences(simulated, before) == []


def test_a_socket_of_operator_level_is_enough(tmp_path: Path, simulated: SimulatedCloud, cloud: Cloud) -> None:
    simulated.balance(level="operator")
    before, captured = simulated.take(), captured_by(TAKE_OUT, cloud)
    TAKE_OUT.do(cloud)
    assert simulated.haproxy.serving(images.BACKEND) == [images.THEIRS]
    TAKE_OUT.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_who_rests_gets_no_request_until_it_is_put_in_again(simulated: SimulatedCloud, cloud: Cloud) -> None:
    NARROW.do(cloud)
    narrowed = simulated.take()
    assert NARROW.rest(cloud)
    assert simulated.haproxy.serving(images.BACKEND) == [images.THEIRS]
    NARROW.do(cloud)
    assert differences(simulated, narrowed) == []
    assert simulated.haproxy.serving(images.BACKEND) == [images.OURS]


def test_where_nobody_takes_its_requests_nothing_rests(simulated: SimulatedCloud, cloud: Cloud) -> None:
    NARROW.do(cloud)
    simulated.in_tls.add(f"{images.PEER}:8004")  # it answers nobody any more who asks as HAProxy does
    simulated.haproxy.servers[images.THEIRS].up = False
    narrowed = simulated.take()
    assert NARROW.rest(cloud)
    assert differences(simulated, narrowed) == []
    assert simulated.haproxy.serving(images.BACKEND) == [images.OURS]


def test_who_has_rested_and_does_not_answer_is_not_left_out_without_a_word(
    simulated: SimulatedCloud, cloud: Cloud
) -> None:
    NARROW.do(cloud)
    NARROW.rest(cloud)
    machine = simulated.machine(images.HEAT)
    machine.run(["systemctl", "stop", "--", API])
    with pytest.raises(DevswapError, match=r"does not answer on .* it gets no traffic"):
        NARROW.do(cloud)
    machine.run(["systemctl", "start", "--", API])
    NARROW.do(cloud)
    assert simulated.haproxy.serving(images.BACKEND) == [images.OURS]


def test_a_haproxy_that_takes_no_word_lets_nothing_rest(simulated: SimulatedCloud, cloud: Cloud) -> None:
    simulated.balance(level="operator")
    before = simulated.take()
    assert not NARROW.rest(cloud)
    assert differences(simulated, before) == []


def test_traffic_comes_back_only_to_a_server_that_answers(simulated: SimulatedCloud, cloud: Cloud) -> None:
    captured = captured_by(TAKE_OUT, cloud)
    TAKE_OUT.do(cloud)
    heat = simulated.machine(images.HEAT)
    heat.run(["systemctl", "stop", "--", API])
    with pytest.raises(DevswapError, match=r"does not answer on 172\.29\.236\.130:8004"):
        TAKE_OUT.undo(cloud, captured)
    assert simulated.haproxy.serving(images.BACKEND) == [images.THEIRS]
    with pytest.raises(DevswapError, match="does not answer"):
        traffic((images.OURS, IN)).do(cloud)
    heat.run(["systemctl", "start", "--", API])
    TAKE_OUT.undo(cloud, captured)
    assert len(simulated.haproxy.serving(images.BACKEND)) == 2


def test_a_server_that_did_not_answer_before_is_not_waited_for(simulated: SimulatedCloud, cloud: Cloud) -> None:
    simulated.machine(images.HEAT).run(["systemctl", "stop", "--", API])
    before, captured = simulated.take(), captured_by(TAKE_OUT, cloud)
    TAKE_OUT.do(cloud)
    TAKE_OUT.undo(cloud, captured)
    assert differences(simulated, before) == []


def test_a_machine_that_is_gone_is_not_waited_for(simulated: SimulatedCloud, cloud: Cloud) -> None:
    captured = captured_by(TAKE_OUT, cloud)
    TAKE_OUT.do(cloud)
    del simulated.world.machines[images.HEAT]
    TAKE_OUT.undo(cloud, captured)
    assert "disabled" not in (simulated.machine(images.HAPROXY).read_text(CFG) or "")


def test_the_files_are_put_back_where_haproxy_does_not_run(
    simulated: SimulatedCloud, cloud: Cloud, machine: SimulatedMachine
) -> None:
    captured = captured_by(NARROW, cloud)
    NARROW.do(cloud)
    machine.state.haproxy = None
    NARROW.undo(cloud, captured)
    for path in (CFG, FRAGMENT):
        assert machine.read_text(path) == (images.balancer().read(path) or b"").decode()


def test_what_a_kill_left_beside_the_files_goes(cloud: Cloud, machine: SimulatedMachine) -> None:
    captured = captured_by(NARROW, cloud)
    for name in (".haproxy.cfg.devswap", ".conf.d-heat_api.devswap", "..haproxy.cfg.devswap.devswap"):
        machine.write_text(f"/etc/haproxy/{name}", "half")
    NARROW.undo(cloud, captured)
    assert machine.names("/etc/haproxy") == ["conf.d", "haproxy.cfg"]


def test_a_person_without_devswap_gets_lines_for_sed_and_a_reload(cloud: Cloud, tmp_path: Path) -> None:
    lines = NARROW.by_hand(captured_by(NARROW, cloud), tmp_path)
    assert [line.rpartition(" ")[2] for line in lines] == [CFG, FRAGMENT, "haproxy.service"]
    assert NARROW.by_hand({"edits": [], "reload": []}, tmp_path) == []


# --- where the files have no plain addresses --------------------------------------------------------------------------


@pytest.mark.parametrize("socket", [True, False])
@pytest.mark.parametrize("written", ["heat.internal", "ipv4@{address}", '"${{HEAT_ADDRESS}}"', "${{HEAT_NAME}}"])
def test_a_server_is_found_and_asked_however_its_address_is_written(
    simulated: SimulatedCloud, machine: SimulatedMachine, written: str, *, socket: bool
) -> None:
    address = images.ADDRESSES[images.HEAT]
    running = machine.state.haproxy
    assert running is not None
    running.environment = {"HEAT_ADDRESS": address, "HEAT_NAME": "heat.internal"}
    images.put(machine.files, "/etc/hosts", f"127.0.0.1 localhost\n{address} heat.internal heat\n")
    text = (machine.read_text(CFG) or "").replace(f"{address}:", f"{written.format(address=address)}:")
    if not socket:
        text = "".join(line for line in text.splitlines(keepends=True) if "stats socket" not in line)
    machine.write_text(CFG, text)
    running.load(machine.read_text)
    found = balancers.at(machine, (CFG,))
    assert found is not None
    ours = found.configuration().server(images.OURS)
    assert ours is not None
    assert ours.host == address
    (served,) = traffic_of.served(simulated.host(), "heat-api")
    assert served.machines[images.OURS] == f"lxc:{images.HEAT}"
    assert rotation.answers(machine, ours)
    edit = Edit(CFG, ours.section, ours.line, haproxy_edits.flagged(ours, backup=False, disabled=True))
    change = rotation.plan(found, [edit])
    assert [server.host for server in change.leaving] == [address]


# --- on a port of its own ---------------------------------------------------------------------------------------------


def test_a_service_on_another_port_than_the_usual_one_is_taken_out_as_well(
    simulated: SimulatedCloud, machine: SimulatedMachine
) -> None:
    """As with heat_service_port, or where HAProxy has the usual one on the same host."""
    heat, ini = simulated.machine(images.HEAT), "/etc/uwsgi/heat-api.ini"
    heat.write_text(ini, (heat.read_text(ini) or "").replace(":8004", ":18004"))
    machine.write_text(CFG, (machine.read_text(CFG) or "").replace(":8004", ":18004"))
    (place,) = [each for each in units.find([load_catalogue().get("heat-api")], [heat]) if each.machine == heat]
    deployment = units.examine(place)
    (served,) = traffic_of.of_deployment(simulated.host(), deployment)
    assert [server.key for server in served.of(heat.address)] == [images.OURS]
    before = replace(deployment, front=Front("apache2.service", ("http://127.0.0.1:18004",)))
    assert traffic_of.of_deployment(simulated.host(), before) == []
