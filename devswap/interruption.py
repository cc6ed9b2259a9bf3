"""What goes on without a service while nobody runs it, and what does not: said before anything is touched."""

from __future__ import annotations

from collections.abc import Iterator

from devswap import systemd
from devswap.deployment import Deployment

_MAIN_PROCESS_ONLY = ("process", "none")
"""KillMode= of units that leave what their main process has started: systemd.kill(5)."""


def told(deployment: Deployment) -> Iterator[str]:
    """A line for each thing that is known; most services are asked for something, and miss nothing else."""
    service, unit = deployment.service, deployment.unit
    if service.outage:
        yield f"while nobody runs {service.name}: {service.outage}"
    if not service.starts:
        return
    programs, kill_mode = ", ".join(service.starts), systemd.show(deployment.machine, unit, "KillMode")["KillMode"]
    if kill_mode in _MAIN_PROCESS_ONLY:
        yield f"what it has started ({programs}) goes on meanwhile: {unit} has KillMode={kill_mode}"
    else:
        yield (
            f"what it has started ({programs}) ends whenever it is stopped, and whoever runs next starts it again:"
            f" {unit} has KillMode={kill_mode}"
        )
