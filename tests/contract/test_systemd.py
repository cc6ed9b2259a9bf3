"""What devswap relies on in every machine's systemd."""

from __future__ import annotations

import time

from devswap import systemd
from devswap.machine import Machine
from tests.contract.conftest import Subject

UNIT = "sleeper.service"
DROP_IN = f"/run/systemd/system/{UNIT}.d/zz.conf"
GATED = '[Unit]\nAssertPathExists=/run/dsct/go\n[Service]\nExecStart=\nExecStart=:"/bin/sleep" "1000"\n'


def hold(machine: Machine) -> None:
    machine.write_text(DROP_IN, GATED)
    systemd.reload(machine)


def command_line(machine: Machine, pid: int) -> str | None:
    """What the process runs: a unit of Type=simple has started while it is still systemd's own, about to become it."""
    until = time.monotonic() + 10
    while True:
        found = machine.read_text(f"/proc/{pid}/cmdline")
        if (found or "").startswith("/bin/sleep") or time.monotonic() > until:
            return found
        time.sleep(0.05)


def test_a_unit_is_started_and_stopped(machine: Machine) -> None:
    systemd.start(machine, UNIT)
    found = systemd.state(machine, UNIT)
    assert (found.load, found.active, found.sub, found.enabled) == ("loaded", "active", "running", "enabled")
    assert command_line(machine, found.main_pid) == "/bin/sleep\0infinity\0"
    assert f"invocation:{UNIT}" in machine.names("/run/systemd/units")
    systemd.stop(machine, UNIT)
    found = systemd.state(machine, UNIT)
    assert (found.active, found.main_pid) == ("inactive", 0)
    assert f"invocation:{UNIT}" not in machine.names("/run/systemd/units")


def test_a_unit_is_restarted_if_it_runs(machine: Machine) -> None:
    systemd.start(machine, UNIT)
    machine.write_text(DROP_IN, '[Service]\nExecStart=\nExecStart="/bin/sleep" "1000"\n')
    systemd.reload(machine)
    systemd.try_restart(machine, UNIT)
    assert command_line(machine, systemd.state(machine, UNIT).main_pid) == "/bin/sleep\x001000\0"
    systemd.stop(machine, UNIT)
    systemd.try_restart(machine, UNIT)
    assert systemd.state(machine, UNIT).active == "inactive"


def test_a_unit_that_does_not_exist(machine: Machine) -> None:
    found = systemd.state(machine, "no-such-unit.service")
    assert (found.load, found.active) == ("not-found", "inactive")
    codes = {verb: _code(machine, verb, "no-such-unit.service") for verb in ("start", "stop", "kill", "reset-failed")}
    assert codes == {"start": 5, "stop": 5, "kill": 1, "reset-failed": 1}


def _code(machine: Machine, verb: str, unit: str) -> int:
    return machine.run(["systemctl", verb, "--", unit], ok=range(256)).code


def test_a_drop_in_counts_only_after_daemon_reload(machine: Machine) -> None:
    systemd.start(machine, UNIT)
    machine.write_text(DROP_IN, GATED)
    assert systemd.show(machine, UNIT, "DropInPaths") == {"DropInPaths": ""}
    systemd.reload(machine)
    assert systemd.show(machine, UNIT, "DropInPaths")["DropInPaths"] == DROP_IN
    assert "argv[]=/bin/sleep 1000 ;" in systemd.show(machine, UNIT, "ExecStart")["ExecStart"]
    assert systemd.state(machine, UNIT).is_active


def test_a_removed_drop_in_counts_until_daemon_reload(machine: Machine) -> None:
    systemd.stop(machine, UNIT)
    hold(machine)
    machine.remove(DROP_IN)
    assert _code(machine, "start", UNIT) == 1
    systemd.reload(machine)
    assert _code(machine, "start", UNIT) == 0


def test_nothing_starts_a_unit_behind_a_closed_gate(machine: Machine) -> None:
    systemd.stop(machine, UNIT)
    hold(machine)
    refused = machine.run(["systemctl", "start", "--", UNIT], ok=(1,))
    assert "Assertion failed" in refused.stderr
    assert systemd.state(machine, UNIT).active == "inactive"
    machine.write_text("/run/dsct/go", "")
    systemd.start(machine, UNIT)
    pid = systemd.state(machine, UNIT).main_pid
    assert command_line(machine, pid) == "/bin/sleep\x001000\x00"


def test_a_unit_is_stopped_within_its_time_and_so_is_one_that_does_not_exist(machine: Machine) -> None:
    systemd.start(machine, UNIT)
    systemd.stop_within(machine, UNIT, seconds=10)
    assert systemd.state(machine, UNIT).active == "inactive"
    systemd.stop_within(machine, "dsct-none.service", seconds=10)


def test_a_failed_unit_stays_failed_when_it_is_stopped_and_is_reset(machine: Machine) -> None:
    systemd.start(machine, UNIT)
    systemd.kill(machine, UNIT)
    systemd.stop_within(machine, UNIT, seconds=10)
    found = systemd.state(machine, UNIT)
    assert (found.active, found.code) == ("failed", 9)
    systemd.reset_failed(machine, UNIT)
    assert systemd.state(machine, UNIT).active == "inactive"


def test_a_command_runs_as_a_unit_and_leaves_none(machine: Machine) -> None:
    assert systemd.run_in_unit(machine, "dsct-run.service", ["cat"], input="text").stdout == "text"
    assert systemd.state(machine, "dsct-run.service").load == "not-found"


def test_the_words_of_a_command_in_a_unit_reach_it_as_they_are(machine: Machine) -> None:
    words = ["$HOME", "${HOME}", "$$", "a$b", "${HOME}$HOME"]
    assert systemd.run_in_unit(machine, "dsct-run.service", ["echo", *words]).stdout == " ".join(words) + "\n"


def test_a_restart_clears_what_lies_in_run_and_starts_what_is_enabled(subject: Subject) -> None:
    machine = subject.machine
    systemd.stop(machine, UNIT)
    hold(machine)
    subject.reboot()
    assert not machine.exists(DROP_IN)
    assert systemd.state(machine, UNIT).is_active
    pid = systemd.state(machine, UNIT).main_pid
    assert command_line(machine, pid) == "/bin/sleep\0infinity\0"
