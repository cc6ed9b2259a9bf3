"""What a unit of a real machine leaves behind, whose KillMode is process."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from devswap import leftovers, systemd
from devswap.machine import Machine

pytestmark = pytest.mark.sandbox

SERVICE, UNIT = "sleeper", "strays.service"
OVERLAY = f"/run/devswap/{SERVICE}/1/overlay/bin"
# A daemon of the checkout's, the same in a network of its own, one that is the machine's, and who hears of no signal.
_STARTS = f"""#!/bin/sh
{OVERLAY}/daemon 4711 &
unshare --net {OVERLAY}/daemon 4712 &
sleep 4713 &
exec sleep 4714
"""
_DAEMON = "#!/bin/sh\n[ $1 = 4711 ] || trap '' TERM\nsleep $1\n"
_UNIT = f"[Service]\nExecStart={OVERLAY}/starts\nKillMode=process\n"


@pytest.fixture
def machine(container: Machine) -> Iterator[Machine]:
    container.write_text(f"{OVERLAY}/starts", _STARTS, mode=0o755)
    container.write_text(f"{OVERLAY}/daemon", _DAEMON, mode=0o755)
    container.write_text(f"/run/systemd/system/{UNIT}", _UNIT)
    systemd.reload(container)
    systemd.start(container, UNIT)
    while len(running(container)) < 4:
        time.sleep(0.05)
    systemd.stop(container, UNIT)
    yield container
    container.run(["pkill", "-KILL", "-f", "471[1-4]"], ok=(0, 1))
    container.run(["rm", "-rf", "/run/devswap", f"/run/systemd/system/{UNIT}"])
    systemd.reload(container)


def running(machine: Machine) -> set[str]:
    """The sleepers, by their numbers, and `daemon` for scripts."""
    lines = machine.run(["ps", "-eo", "args"]).stdout.splitlines()
    return {line.split()[-1] for line in lines if line.split()[-1] in ("4711", "4712", "4713", "4714")}


def daemons(machine: Machine) -> list[str]:
    return [line for line in machine.run(["ps", "-eo", "args"]).stdout.splitlines() if f"{OVERLAY}/daemon" in line]


def test_the_checkouts_ends_in_whatever_network_it_is_and_the_machines_own_stays(machine: Machine) -> None:
    assert len(daemons(machine)) == 2
    assert leftovers.end(machine, SERVICE, UNIT) == []
    assert daemons(machine) == []
    assert "4713" in running(machine)


def test_by_hand_it_ends_as_well(machine: Machine) -> None:
    assert len(daemons(machine)) == 2
    looks = "/run/devswap/sleeper/1/overlay/bin/daemon"
    machine.run(["systemd-run", "--unit=looks", "--collect", "sh", "-c", f": {looks}; sleep 4715"])
    machine.run(leftovers.by_hand(SERVICE, UNIT))
    assert [line for line in daemons(machine) if "4715" not in line] == []
    assert "4713" in running(machine)
    assert systemd.state(machine, "looks.service").is_active  # it looks at a file
    machine.run(["systemctl", "kill", "looks.service"])
