"""HAProxy is what runs: its command line says which files it has, whether it has a master, how it is reloaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import balancer, haproxy_process
from devswap.errors import DevswapError
from devswap.haproxy_process import Process
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine


def process(*argv: str, folder: str = "/") -> Process:
    return Process(pid=7, parent=1, argv=argv, folder=folder, unit="", started=0)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (
            ("-Ws", "-f", "/etc/haproxy/haproxy.cfg", "-p", "/run/x.pid", "-S", "/run/m.sock"),
            ("/etc/haproxy/haproxy.cfg",),
        ),
        (("-sf", "41", "42", "-x", "sockpair@4", "-W", "-f", "/a.cfg", "-f", "/b.d/"), ("/a.cfg", "/b.d")),
        (("-D", "-f", "a.cfg", "--", "b.cfg", "/c.cfg"), ("/srv/a.cfg", "/srv/b.cfg", "/c.cfg")),
        (("-C", "etc", "-f", "a.cfg"), ("/srv/etc/a.cfg",)),
        (("-vv",), ()),
    ],
)
def test_its_files_are_those_of_its_command_line(argv: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert haproxy_process.sources(process("haproxy", *argv), "/srv") == expected


def test_what_an_earlier_takeover_added_to_its_command_line_goes() -> None:
    argv = ("haproxy", "-f", "/a.cfg", "-x", "/run/a.sock", "-sf", "41", "42", "-D")
    assert haproxy_process.without_takeover(argv) == ["haproxy", "-f", "/a.cfg", "-D"]


@pytest.fixture
def simulated(tmp_path: Path) -> SimulatedCloud:
    found = SimulatedCloud(tmp_path)
    found.balance()
    return found


@pytest.fixture
def machine(simulated: SimulatedCloud) -> SimulatedMachine:
    return simulated.machine(images.HAPROXY)


def test_it_is_found_in_whichever_machine_runs_it(simulated: SimulatedCloud) -> None:
    (found,) = balancer.find(simulated.host().running())
    assert found.machine.address == f"lxc:{images.HAPROXY}"
    assert found.sources == ("/etc/haproxy/haproxy.cfg",)
    assert (found.main.pid, found.is_master, found.reload_argv()[:2]) == (50, True, ["systemctl", "reload"])


def test_without_a_unit_the_master_gets_its_signal(machine: SimulatedMachine) -> None:
    assert machine.state.haproxy is not None
    machine.state.haproxy.unit = ""
    (found,) = balancer.find([machine])
    assert found.reload_argv() == ["kill", "-USR2", "50"]


def test_without_a_master_another_process_takes_over(machine: SimulatedMachine) -> None:
    assert machine.state.haproxy is not None
    machine.state.haproxy.unit = ""
    machine.state.haproxy.argv = ("/usr/sbin/haproxy", "-D", "-f", "/etc/haproxy/haproxy.cfg", "-sf", "12")
    (found,) = balancer.find([machine])
    worker = str(machine.state.haproxy.worker)
    assert found.reload_argv() == ["/usr/sbin/haproxy", "-D", "-f", "/etc/haproxy/haproxy.cfg", "-sf", worker]
    text = (machine.read_text("/etc/haproxy/haproxy.cfg") or "").replace("mode 600", "expose-fd listeners")
    machine.write_text("/etc/haproxy/haproxy.cfg", text)
    (found,) = balancer.find([machine])
    assert found.reload_argv()[-4:] == ["-x", "/var/run/haproxy.stat", "-sf", worker]


def test_a_foreground_process_without_either_cannot_be_reloaded(machine: SimulatedMachine) -> None:
    assert machine.state.haproxy is not None
    machine.state.haproxy.unit = ""
    machine.state.haproxy.argv = ("/usr/sbin/haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg")
    (found,) = balancer.find([machine])
    with pytest.raises(DevswapError, match="no unit and no master"):
        found.reload_argv()


def test_a_folder_is_read_as_haproxy_reads_it(machine: SimulatedMachine) -> None:
    """Kolla's way: haproxy.cfg and services.d/*.cfg."""
    assert machine.state.haproxy is not None
    for name in ("b.cfg", "a.cfg", ".hidden.cfg", "notes.txt"):
        images.put(machine.files, f"/etc/haproxy/services.d/{name}", f"backend {name}\n    server x 10.0.0.9:1\n")
    machine.state.haproxy.argv += ("-f", "/etc/haproxy/services.d/")
    (found,) = balancer.find([machine])
    assert [path for path, _ in found.files()] == [
        "/etc/haproxy/haproxy.cfg",
        "/etc/haproxy/services.d/a.cfg",
        "/etc/haproxy/services.d/b.cfg",
    ]
    assert found.configuration().server("a.cfg/x") is not None


def test_a_folder_is_no_file_of_its_configuration(machine: SimulatedMachine) -> None:
    assert machine.state.haproxy is not None
    images.put(machine.files, "/etc/haproxy/services.d/a.cfg", "backend a\n")
    machine.state.haproxy.argv += ("-f", "/etc/haproxy/services.d")
    (found,) = balancer.find([machine])
    before = found.files(), found.fragments()
    for name in ("services.d/folder.cfg", "conf.d/backup"):
        images.put(machine.files, f"/etc/haproxy/{name}/a.cfg", "nonsense\n")
    assert (found.files(), found.fragments()) == before
    assert found.complaint() is None


def test_a_link_to_the_file_stays_a_link(machine: SimulatedMachine) -> None:
    text = machine.read_text("/etc/haproxy/haproxy.cfg") or ""
    images.put(machine.files, "/etc/haproxy/real/one.cfg", text)
    machine.files.link("/etc/haproxy/haproxy.cfg", "real/one.cfg")
    (found,) = balancer.find([machine])
    changed = {"/etc/haproxy/haproxy.cfg": text + "# more\n"}
    assert found.complaint(changed) is None
    found.put(changed)
    assert machine.link_target("/etc/haproxy/haproxy.cfg") == "real/one.cfg"
    assert machine.read_text("/etc/haproxy/real/one.cfg") == text + "# more\n"


def test_connections_are_counted_by_the_kernel() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        "   0: 65F41DAC:0CEA 00000000:0000 0A 00000000:00000000\n"
        "   1: 65F41DAC:C350 78F41DAC:1388 01 00000000:00000000\n"
        "   2: 65F41DAC:C351 78F41DAC:1388 06 00000000:00000000\n"
    )
    assert balancer.established(table, "172.29.244.120", 5000) == 1
    assert balancer.established(table, "172.29.244.120", 5001) == 0
    assert balancer.established(table, "keystone.example.org", 5000) == 0


def test_it_is_checked_with_what_it_reads_of_its_environment_and_nothing_of_its_reloads(
    simulated: SimulatedCloud, machine: SimulatedMachine
) -> None:
    text = machine.read_text("/etc/haproxy/haproxy.cfg") or ""
    machine.write_text("/etc/haproxy/haproxy.cfg", text + 'backend x\n    server "$SERVICE" 10.0.0.9:1\n')
    (found,) = balancer.find([machine])
    simulated.calls.begin()
    assert found.complaint() is None
    assert any("sh -c" in name and "/usr/sbin/haproxy -c" in name for name in simulated.calls.names)
