"""Services are found by looking at machines, and examined where they run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from devswap.discovery import program, units
from devswap.errors import DevswapError
from devswap.service import load_catalogue
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine

SERVICE = load_catalogue().get("heat-engine")


@pytest.fixture
def machine(tmp_path: Path) -> SimulatedMachine:
    return SimulatedCloud(tmp_path).machine(images.HEAT)


def found(machine: SimulatedMachine) -> units.Found:
    (place,) = units.find([SERVICE], [machine])
    return place


def rewrite(machine: SimulatedMachine, text: str) -> None:
    machine.write_text("/etc/systemd/system/heat-engine.service", text)
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    machine.run(["systemctl", "start", "--", "heat-engine.service"])


def test_a_service_is_where_its_unit_is(machine: SimulatedMachine) -> None:
    place = found(machine)
    assert (place.unit, place.active) == ("heat-engine.service", True)
    assert list(units.find([SERVICE], [machine.cloud.machine(images.GALERA)])) == []
    assert units.version(place) == "33.0.1"


@pytest.mark.parametrize("started", ["/usr/local/bin/heat-engine", "/usr/bin/python3 /usr/local/bin/heat-engine"])
def test_what_pip_installed_for_the_systems_own_python_has_a_version(machine: SimulatedMachine, started: str) -> None:
    """As OpenStack-Ansible did before it had virtualenvs."""
    rewrite(machine, f"[Service]\nUser=heat\nExecStart={started} --log-file=/var/log/heat/engine.log\n")
    packages = "/usr/local/lib/python3.11/dist-packages"
    images.put(machine.files, f"{packages}/openstack_heat-24.0.1.dist-info/METADATA", "Name: openstack-heat\n")
    assert units.version(found(machine)) == "24.0.1"


def test_a_unit_that_several_services_share_is_told_by_their_files(machine: SimulatedMachine) -> None:
    images.put(machine.files, "/lib/systemd/system/apache2.service", "[Service]\nExecStart=/usr/sbin/apachectl start\n")
    files = ("/etc/stack-web/main.conf", "/etc/stack-web.conf")
    service = replace(SERVICE, units=("stack-web", "apache2"), known_by=files)
    assert list(units.find([service], [machine])) == []
    images.put(machine.files, "/etc/stack-web.conf", "")
    (place,) = units.find([service], [machine])
    assert place.unit == "apache2.service"


def test_production_is_seen_in_its_main_process(machine: SimulatedMachine) -> None:
    deployment = units.examine(found(machine))
    assert deployment.interpreter.path == f"{images.VENV}/bin/python"
    assert deployment.command == (f"{images.VENV}/bin/heat-engine",)
    assert (deployment.user, deployment.group) == ("heat", "heat")
    assert deployment.config_files == ("/etc/heat/heat.conf",)
    assert deployment.environment["PATH"].startswith(images.VENV)


def test_a_process_that_renamed_itself_is_known_by_its_unit(machine: SimulatedMachine) -> None:
    machine.init.unit("heat-engine.service").title = "heat-engine: master process [heat-engine]"
    assert units.examine(found(machine)).command == (f"{images.VENV}/bin/heat-engine",)


def test_a_unit_that_does_not_run_is_known_by_its_file(machine: SimulatedMachine) -> None:
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    place = found(machine)
    assert not place.active
    assert units.examine(place).command == (f"{images.VENV}/bin/heat-engine",)


def test_the_older_layout_names_its_files_on_the_command_line(machine: SimulatedMachine) -> None:
    line = f"ExecStart={images.VENV}/bin/heat-engine --config-file=/etc/heat/heat.conf --log-file=/var/log/heat.log"
    rewrite(machine, f"[Service]\nUser=heat\nGroup=heat\nType=simple\n{line}\n")
    deployment = units.examine(found(machine))
    assert deployment.command[1:] == ("--config-file=/etc/heat/heat.conf", "--log-file=/var/log/heat.log")
    assert deployment.config_files == ("/etc/heat/heat.conf",)


def test_python_2_is_refused_by_name(machine: SimulatedMachine) -> None:
    images.put(machine.files, "/usr/bin/python2", "\x7fELF")
    images.put(machine.files, "/usr/bin/heat-engine", "#!/usr/bin/python2\n")
    rewrite(machine, "[Service]\nUser=heat\nExecStart=/usr/bin/heat-engine\n")
    with pytest.raises(DevswapError, match=r"Python 2\.7"):
        units.examine(found(machine))


def test_what_is_no_python_program_is_refused(machine: SimulatedMachine) -> None:
    images.put(machine.files, "/usr/bin/heat-engine", "\x7fELF")
    rewrite(machine, "[Service]\nUser=heat\nExecStart=/usr/bin/heat-engine\n")
    with pytest.raises(DevswapError, match="is no Python program"):
        units.examine(found(machine))


def test_a_deployment_survives_the_journal(machine: SimulatedMachine) -> None:
    place = found(machine)
    deployment = units.examine(place)
    assert units.from_json(place, units.as_json(deployment)) == deployment


def test_a_unit_without_a_user_is_known_by_whom_its_process_runs_as(machine: SimulatedMachine) -> None:
    rewrite(machine, f"[Service]\nExecStart={images.VENV}/bin/heat-engine\n")
    assert units.examine(found(machine)).user == "root"
    machine.init.unit("heat-engine.service").uid = 110
    deployment = units.examine(found(machine))
    assert (deployment.user, deployment.group) == ("heat", "heat")
    assert deployment.leaves_root is not None
    read = json.loads(json.dumps(units.as_json(deployment)))
    assert units.from_json(found(machine), read).leaves_root == deployment.leaves_root


@pytest.mark.parametrize(("group", "name"), [("openstack:x:112:\nheat:x:990:", "openstack"), ("heat:x:990:", "heat")])
def test_a_unit_without_a_group_has_its_users_own(machine: SimulatedMachine, group: str, name: str) -> None:
    """Whatever that is called: systemd goes by the account."""
    rewrite(machine, f"[Service]\nUser=heat\nExecStart={images.VENV}/bin/heat-engine\n")
    images.put(machine.files, "/etc/group", f"root:x:0:\n{group}\n")
    assert units.examine(found(machine)).group == name


def test_a_unit_without_a_user_that_does_not_run_is_not_taken_for_roots(machine: SimulatedMachine) -> None:
    rewrite(machine, f"[Service]\nExecStart={images.VENV}/bin/heat-engine\n")
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    with pytest.raises(DevswapError, match="does not run, and its unit has no User=") as caught:
        units.examine(found(machine))
    assert "systemctl start heat-engine.service" in (caught.value.hint or "")


def test_a_process_that_runs_as_somebody_else_than_its_unit_says_is_refused(machine: SimulatedMachine) -> None:
    machine.init.unit("heat-engine.service").uid = 0
    with pytest.raises(DevswapError, match="User=heat, but runs as root"):
        units.examine(found(machine))


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("python -W ignore /x/heat-engine --debug", ("/x/heat-engine", "--debug")),
        ("python -sE -X dev /x/heat-engine", ("/x/heat-engine",)),
        ("python -m heat.cmd.engine --debug", ("-m", "heat.cmd.engine", "--debug")),
        ("python -um heat.cmd.engine", ("-m", "heat.cmd.engine")),
        ("python /x/heat-engine $OPTS ${ONE}-b $$c", ("/x/heat-engine", "--debug", "--x y", "a b-b", "$c")),
    ],
)
def test_what_python_runs_is_found_behind_its_own_options(
    machine: SimulatedMachine, line: str, command: tuple[str, ...]
) -> None:
    settings = """Environment="OPTS=--debug '--x y'" "ONE=a b"\n"""
    rewrite(machine, f"[Service]\nUser=heat\n{settings}ExecStart={images.VENV}/bin/{line.replace('$', '$$')}\n")
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    assert units.examine(found(machine)).command == command


@pytest.mark.parametrize("line", ["python -c pass", "python -", "python"])
def test_a_python_without_a_program_is_refused(machine: SimulatedMachine, line: str) -> None:
    rewrite(machine, f"[Service]\nUser=heat\nExecStart={images.VENV}/bin/{line}\n")
    with pytest.raises(DevswapError, match="is no Python program"):
        units.examine(found(machine))


def test_several_commands_are_refused(machine: SimulatedMachine) -> None:
    rewrite(machine, f"[Service]\nUser=heat\nType=oneshot\nExecStart={images.VENV}/bin/a\nExecStart=/bin/b\n")
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    with pytest.raises(DevswapError, match="2 ExecStart"):
        units.examine(found(machine))


def test_every_environment_file_counts_and_the_last_wins(machine: SimulatedMachine) -> None:
    images.put(machine.files, "/etc/default/one", 'A="1"\nB=1\n')
    images.put(machine.files, "/etc/default/two", "B=2\n")
    files = "EnvironmentFile=/etc/default/one\nEnvironmentFile=-/etc/default/two\nEnvironmentFile=-/etc/default/none\n"
    rewrite(machine, f"[Service]\nUser=heat\nEnvironment=B=0\n{files}ExecStart={images.VENV}/bin/heat-engine\n")
    environment = units.examine(found(machine)).environment
    assert (environment["A"], environment["B"]) == ("1", "2")


def test_environment_files_may_be_named_by_a_pattern_and_have_spaces(machine: SimulatedMachine) -> None:
    for name, text in (("20.env", "A=2\nB=2"), ("10.env", "A=1"), (".env", "A=hidden"), ("30.txt", "A=other")):
        images.put(machine.files, f"/srv/of the engine/env.d/{name}", text + "\n")
    files = "EnvironmentFile=/srv/of*/env.d/*.env\nEnvironmentFile=-/srv/of the engine/env.d/30.txt\n"
    rewrite(machine, f"[Service]\nUser=heat\n{files}ExecStart={images.VENV}/bin/heat-engine\n")
    environment = units.examine(found(machine)).environment
    assert (environment["A"], environment["B"]) == ("other", "2")
    rewrite(machine, f"[Service]\nUser=heat\n{files.partition(chr(10))[0]}\nExecStart={images.VENV}/bin/heat-engine\n")
    assert units.examine(found(machine)).environment["A"] == "2"


def test_of_several_names_that_one_is_it_which_runs(machine: SimulatedMachine) -> None:
    service = replace(SERVICE, units=("stack-engine", "heat-engine"))
    older = "/etc/systemd/system/stack-engine.service"
    images.put(machine.files, older, "[Service]\nExecStart=/usr/bin/old\n")
    assert [place.unit for place in units.find([service], [machine])] == ["heat-engine.service"]
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    assert [place.unit for place in units.find([service], [machine])] == ["stack-engine.service"]
    machine.remove(older)
    machine.files.link(older, "/dev/null")
    assert [place.unit for place in units.find([service], [machine])] == ["heat-engine.service"]


def test_an_instance_of_a_template_is_a_unit(machine: SimulatedMachine) -> None:
    path = "/etc/systemd/system/heat-engine@.service"
    images.put(machine.files, path, "[Service]\nExecStart=/usr/bin/heat-engine --name %i\n")
    service = replace(SERVICE, units=("heat-engine@two",))
    (place,) = units.find([service], [machine])
    assert (place.unit, place.file, place.active) == ("heat-engine@two.service", path, False)
    assert units.with_units(["heat-engine@two"], [machine]) == [(machine, "heat-engine@two.service")]


def test_an_alias_is_the_unit_that_it_leads_to(machine: SimulatedMachine) -> None:
    unit = "/lib/systemd/system/openstack-heat-engine.service"
    machine.run(["systemctl", "stop", "--", "heat-engine.service"])
    images.put(machine.files, unit, machine.read_text("/etc/systemd/system/heat-engine.service") or "")
    machine.remove("/etc/systemd/system/heat-engine.service")
    machine.files.link("/etc/systemd/system/heat-engine.service", unit)
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "start", "--", "openstack-heat-engine.service"])
    place = found(machine)
    assert (place.unit, place.file, place.active) == ("openstack-heat-engine.service", unit, True)


def test_a_unit_that_gives_its_process_another_name_is_known_by_its_program(tmp_path: Path) -> None:
    """systemd.service(5): ExecStart=@PATH NAME …"""
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    shown = "{ path=/opt/heat/bin/heat-engine ; argv[]=heat-prod --config-file $FILE ; ignore_errors=no ; pid=0 }"
    words, _ = program.arguments_of(
        machine, "heat-engine.service", {"MainPID": "0", "ExecStart": shown}, {"FILE": "/etc/heat/heat.conf"}
    )
    assert words == ["/opt/heat/bin/heat-engine", "--config-file", "/etc/heat/heat.conf"]
