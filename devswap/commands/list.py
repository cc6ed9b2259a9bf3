"""devswap list."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import console, session
from devswap.commands import examples
from devswap.discovery import units
from devswap.errors import MachineGone
from devswap.host import Host
from devswap.journal import Swap

app = typer.Typer(rich_markup_mode=None, add_completion=False)


def _asleep(host: Host, swap: Swap) -> dict[str, object] | None:
    """A swapped service whose machine does not run is not found by looking, and must not be forgotten."""
    try:
        if host.machine(swap.machine).is_running():
            return None
        state = "machine stopped"
    except MachineGone:
        state = "machine gone"
    return {
        "service": swap.service,
        "project": swap.project,
        "machine": swap.machine,
        "unit": swap.unit,
        "state": state,
        "version": None,
        "swapped": {"ref": swap.ref, "owner": swap.owner.user, "since": swap.since},
    }


@app.command(
    epilog=examples(
        "devswap list",
        "devswap list --json",
    )
)
def show(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for scripts.")] = False,  # noqa: FBT002
) -> None:
    """Show what can be swapped here.

    Services of the catalogue that a running machine has: where, in what state, which version, and who swapped it.
    """
    host = session.open_host()
    swapped = {(journal.swap.service, journal.swap.machine): journal.swap for journal in host.journals.all()}
    services: list[dict[str, object]] = []
    for found in units.find(host.catalogue(), host.running()):
        swap = swapped.get((found.service.name, found.machine.address))
        services.append(
            {
                "service": found.service.name,
                "project": found.service.project,
                "machine": found.machine.address,
                "unit": found.unit,
                "state": "active" if found.active else "inactive",
                "version": units.version(found),
                "swapped": None if swap is None else {"ref": swap.ref, "owner": swap.owner.user, "since": swap.since},
            }
        )
    services += [row for journal in host.journals.all() if (row := _asleep(host, journal.swap))]
    if as_json:
        console.show_json({"services": services})
        return
    rows = [
        (
            str(row["service"]),
            str(row["machine"]),
            str(row["state"]),
            str(row["version"] or "?"),
            f"{row['swapped']['ref']} by {row['swapped']['owner']}" if isinstance(row["swapped"], dict) else "-",
        )
        for row in services
    ]
    console.show_table(("SERVICE", "MACHINE", "STATE", "VERSION", "SWAPPED"), rows)
    if not rows:
        console.say("no running machine has a service that devswap knows; devswap sandbox up builds a cloud to try")
