"""Units of a simulated machine that systemd stops with another, and sockets that start one."""

from __future__ import annotations

from tests.simulated import images
from tests.simulated.machine import SimulatedMachine


def follow(machine: SimulatedMachine, unit: str, how: str) -> None:
    """Let `unit` run, which `how` (BindsTo=, PartOf= or Requires=) stops with another."""
    text = f"[Unit]\n{how}\n[Service]\nExecStart=/usr/bin/watch\n[Install]\nWantedBy=multi-user.target\n"
    images.put(machine.files, "/usr/bin/watch", "\x7fELF")
    images.put(machine.files, f"/etc/systemd/system/{unit}", text)
    machine.files.link(f"/etc/systemd/system/multi-user.target.wants/{unit}", f"/etc/systemd/system/{unit}")
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "start", "--", unit])


def listen(machine: SimulatedMachine, socket: str, service: str) -> None:
    """Let `socket` wait for requests to `service`, which does not run."""
    images.put(machine.files, f"/etc/systemd/system/{socket}", f"[Socket]\nListenStream=7777\nService={service}\n")
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "start", "--", socket])
