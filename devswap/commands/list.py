"""devswap list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from devswap import arguments, console, session
from devswap.commands import examples
from devswap.discovery import units
from devswap.errors import MachineGone, UsageError
from devswap.explain import Explained, Place, explain
from devswap.host import Host
from devswap.journal import Swap

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MANY = 5


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
        "unsupported": None,
    }


def _swapped(row: Mapping[str, object]) -> str:
    if isinstance(row["swapped"], dict):
        return f"{row['swapped']['ref']} by {row['swapped']['owner']}"
    return "not possible yet" if row["unsupported"] else "-"


@app.command(
    epilog=examples(
        "devswap list",
        "devswap list heat-engine",
        "devswap list --all --json",
    )
)
def show(
    service: Annotated[str | None, typer.Argument(help="Tell of this one: what was found of it, and why.")] = None,
    everything: Annotated[  # noqa: FBT002
        bool, typer.Option("--all", help="The whole catalogue, and which file each entry is from.")
    ] = False,
    as_json: arguments.AsJson = False,  # noqa: FBT002
) -> None:
    """Show what can be swapped here.

    Services of the catalogue that a running machine has: where, in what state, which version, and who swapped it.
    """
    if service is not None and everything:
        raise UsageError("--all shows every service", hint=f"devswap list {service}")
    host = session.open_host()
    if service is not None:
        _show_one(explain(host, host.catalogue().get(service)), as_json=as_json)
    elif everything:
        _show_all(host, as_json=as_json)
    else:
        _show_here(host, as_json=as_json)


def _show_here(host: Host, *, as_json: bool) -> None:
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
                "unsupported": found.service.unsupported,
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
            _swapped(row),
        )
        for row in services
    ]
    console.show_table(("SERVICE", "MACHINE", "STATE", "VERSION", "SWAPPED"), rows)
    if not rows:
        console.say("no running machine has a service that devswap knows; devswap sandbox up builds a cloud to try")


def _show_all(host: Host, *, as_json: bool) -> None:
    known = sorted(host.catalogue(), key=lambda each: (each.project, each.name))
    here = Counter(found.service.name for found in units.find(known, host.running()))
    if as_json:
        services = [
            {
                "service": each.name,
                "project": each.project,
                "machines": here[each.name],
                "from": each.origins,
                "unsupported": each.unsupported,
            }
            for each in known
        ]
        console.show_json({"services": services})
        return
    rows = [
        (
            each.name,
            each.project,
            f"in {here[each.name]}" if here[each.name] else "-",
            "not yet" if each.unsupported else "yes",
            ", ".join(each.origins),
        )
        for each in known
    ]
    console.show_table(("SERVICE", "PROJECT", "HERE", "SWAPPABLE", "FROM"), rows)


def _show_one(told: Explained, *, as_json: bool) -> None:
    if as_json:
        console.show_json(asdict(told))
        return
    print(f"{told.service} of {told.project} (package {told.package}, {told.distribution} on the index)")
    print(f"  known from   {', '.join(told.origins)}")
    print(f"  looked for   {', '.join(told.looked_for)}")
    if told.unsupported:
        print(f"  cannot be taken over yet: {told.unsupported}")
    for place in told.places:
        _show_place(place, told.looked_for)
    for why in dict.fromkeys(told.elsewhere.values()):
        machines = [machine for machine, each in told.elsewhere.items() if each == why]
        print(f"{_counted(machines)} {why}")
    if told.stopped:
        print(f"stopped, so not looked at: {', '.join(told.stopped)}")


def _counted(machines: Sequence[str]) -> str:
    """Their names, unless they are many: a cloud of containers has dozens."""
    return f"{len(machines)} machines:" if len(machines) > _MANY else f"{', '.join(machines)}:"


def _show_place(place: Place, looked_for: Sequence[str]) -> None:
    print(f"{place.machine}: {place.state}, version {place.version or '?'}{', swapped' if place.swapped else ''}")
    before = looked_for[: looked_for.index(place.unit)] if place.unit in looked_for else ()
    none = f" (there is no {', '.join(before)})" if before else ""
    facts = {
        "unit": f"{place.unit_file}{none}",
        "runs": f"{' '.join(place.command)} as {place.user}" if place.command else None,
        "python": place.python,
        "uWSGI's": ", ".join(place.server),
        "config": ", ".join(place.config_files),
        "answers at": ", ".join(place.addresses),
        "but": place.why_not,
    }
    for name, fact in facts.items():
        if fact:
            print(f"  {name:<12} {fact}")
