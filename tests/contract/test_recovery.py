"""The boot unit on a real systemd: what was swapped before a restart is given back after it, by itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import devswap
from devswap.machine import Machine
from tests import containers
from tests.integration.cloud import wait_until

NAME = f"dscr-{os.getpid()}"
DEVSWAP = [str(Path(sys.executable).with_name("devswap"))]
UNIT = "devswap-recovery.service"
SLEEPER = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
# A takeover as devswap does it, of a service of the machine that it runs in itself.
TAKE_OVER = """
from pathlib import Path
from devswap import development, fingerprint, session, transaction
from devswap.fingerprint import Watched
from devswap.journal import Journal, Swap
from devswap.steps.unit import HoldUnit, RunDevelopment

here = session.open_host()
watched = Watched("local:", "sleeper", "sleeper.service", ("/etc/sleeper",), (), None, None)
folder = here.journals.folder("sleeper", "local:")
command = development.Command(("/bin/sh", "-c", "exec sleep 1000", development.folder("sleeper")), {}, simple=False)
journal = Journal.create(folder, Swap(
    service="sleeper", project="sleeper", package="sleeper", machine="local:", unit="sleeper.service",
    owner=here.owner, since=here.now(), ref="x", commit="0" * 40, subject="A change", checkout="/nowhere",
    mode="detached", slot=1, watched=watched.as_json(), deployment={},
    fingerprint=fingerprint.take(watched, here.machine),
))
text = development.drop_in("sleeper", command, terminal=None)
steps = [HoldUnit("local:", service="sleeper", unit="sleeper.service", text=text),
         RunDevelopment("local:", service="sleeper", unit="sleeper.service")]
transaction.apply(steps, journal, here.cloud(journal))
"""

# A devswap with --restore-on-exit, as far as its watcher is concerned
WATCHED = """
import time
from devswap.watcher import Watcher
watcher = Watcher("sleeper", "lxc:nowhere")
time.sleep(1000)
"""


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """With this very devswap in it, at the place where it is on the host."""
    containers.require_lxc()
    places = {Path(sys.prefix), Path(devswap.__file__).parent.parent}
    try:
        found = containers.start(NAME, shown=sorted(map(str, places)))
        found.write_text("/etc/systemd/system/sleeper.service", SLEEPER)
        found.run(["systemctl", "enable", "--now", "sleeper.service"])
        yield found
    finally:
        containers.remove(NAME)


def devswap_in(machine: Machine, *argv: str, code: int = 0) -> str:
    ended = machine.run([*DEVSWAP, *argv], ok=range(256), timeout=60)
    assert ended.code == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def test_what_was_swapped_before_a_restart_is_given_back_by_itself(machine: Machine) -> None:
    for _ in range(2):  # installing is idempotent
        assert UNIT in devswap_in(machine, "doctor", "--install-recovery")
    verified = machine.run(["systemd-analyze", "verify", f"/etc/systemd/system/{UNIT}"])
    assert UNIT not in verified.stdout + verified.stderr
    assert machine.run(["stat", "-c", "%U:%G %a", f"/etc/systemd/system/{UNIT}"]).stdout == "root:root 644\n"
    machine.run([str(Path(sys.executable)), "-c", TAKE_OVER])
    assert "sleeper in local:" in devswap_in(machine, "status")
    machine.run(["systemctl", "start", UNIT])
    assert "sleeper in local:" in devswap_in(machine, "status"), "what somebody works on is left to them"

    containers.reboot(NAME)
    assert "facts identical" in machine.run(["journalctl", "--boot", "--unit", UNIT, "--output=cat"]).stdout
    assert "nothing is swapped" in devswap_in(machine, "status")
    assert machine.run(["systemctl", "is-active", "sleeper.service"]).stdout == "active\n"

    for _ in range(2):
        devswap_in(machine, "doctor", "--remove-recovery")
    assert machine.run(["systemctl", "cat", UNIT], ok=(1,)).code == 1
    assert machine.run(["find", "/etc/systemd", "-name", "*devswap*"]).stdout == ""


def test_who_watches_a_run_outlives_the_end_of_its_session_and_all_in_it(machine: Machine) -> None:
    """As logind ends it with KillUserProcesses=yes: a unit with all the processes that belong to it."""
    asked = ["systemctl", "list-units", "--plain", "--no-legend", "devswap-watcher-*.scope"]
    session = ["systemd-run", "--unit=session", "--setenv=DEVSWAP_STATE_DIR=/run/watched", "--"]
    machine.run([*session, str(Path(sys.executable)), "-c", WATCHED])
    wait_until(lambda: machine.run(asked).stdout != "", "the watcher has a scope of its own")
    machine.run(["systemctl", "kill", "--signal=KILL", "session.service"])
    log = ["sh", "-c", "cat /run/watched/log/*.log 2>/dev/null || true"]
    wait_until(lambda: "restore sleeper --machine lxc:nowhere" in machine.run(log).stdout, "it restores", seconds=30)
    wait_until(lambda: machine.run(asked).stdout == "", "its scope goes with it")
