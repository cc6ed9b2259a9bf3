"""From the name a person types to the one place on this cloud that is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from devswap.deployment import Deployment
from devswap.discovery import machines, units
from devswap.discovery.units import Found
from devswap.errors import DevswapError, UsageError
from devswap.host import Host
from devswap.journal import Journal
from devswap.machine import name_of, while_running
from devswap.service import Service


def deployment(host: Host, name: str, wanted: str | None) -> Deployment:
    """Where and how the service `name` runs; raises UsageError where a person must say which machine."""
    service = host.catalogue().get(name)
    return units.examine(one(host, service, wanted))


def one(host: Host, service: Service, wanted: str | None) -> Found:
    places = _in_the_one_named(host, service, wanted) or list(units.find([service], host.running()))
    chosen = machines.choose(places, wanted)
    if len(chosen) == 1:
        if wanted is None:
            _require_only_cloud(host, chosen[0])
        return chosen[0]
    if chosen:
        number = host.choose(f"{service.name} runs in several machines", [place.machine.name for place in chosen])
        if number is not None:
            return chosen[number]
        raise UsageError(
            f"{service.name} runs in {len(chosen)} machines: {_names(chosen)}",
            hint=f"say which: --machine {chosen[0].machine.name}",
        )
    if wanted is not None:
        _require_awake(host, wanted)
    if places:
        raise UsageError(
            f"{service.name} does not run in {wanted}", hint=f"it runs in {_names(places)}: say --machine NAME"
        )
    raise _nowhere(host, service)


def _in_the_one_named(host: Host, service: Service, wanted: str | None) -> list[Found]:
    """Where a machine is named whole, the others need not be looked at."""
    named = [each for each in host.running() if wanted in (each.address, each.name)] if wanted else []
    return list(units.find([service], named))


def require_trusted(deployment: Deployment) -> Deployment:
    """Raises DevswapError where a user's own file has named a unit of root's: those rights are not theirs to give."""
    service = deployment.service
    if service.of_home and deployment.user in ("root", "0"):
        raise DevswapError(
            f"cannot take {service.name} over: {deployment.unit} in {deployment.machine.name} runs as root, "
            f"and {service.origins[-1]} is no file of the host",
            hint="root can put what it says into /etc/devswap/services",
        )
    return deployment


def _require_only_cloud(host: Host, place: Found) -> None:
    """With two clouds on the host the one that runs need not be the one that is meant."""
    ours, project = place.machine.name, place.service.project
    asleep = [name for name in host.stopped() if project in name and not units.are_of_one_cloud(name, ours)]
    if not asleep:
        return
    options = [place.machine.name, f"none: {asleep[0]} is meant, and must be started first"]
    answer = host.choose(f"{place.service.name} runs in one cloud of this host, and another one is stopped", options)
    if answer == 1:
        _require_awake(host, asleep[0])
    if answer is None:
        raise UsageError(
            f"{place.service.name} runs in {place.machine.name}, but {asleep[0]} of another cloud is stopped",
            hint=f"say which is meant: --machine {place.machine.name}, or lxc-start -n {asleep[0]}",
        )


def _require_awake(host: Host, wanted: str) -> None:
    asleep = [name for name in host.stopped() if name.startswith(wanted.removeprefix("lxc:"))]
    if asleep:
        raise DevswapError(f"{asleep[0]} is stopped", hint=f"lxc-start -n {asleep[0]}, then try again")


def tell_passed_over(host: Host, machines: Mapping[str, str]) -> None:
    """In one line, with why one of them was: a whole other cloud of this host may be starting."""
    if machines:
        names, why = ", ".join(map(name_of, sorted(machines))), next(iter(machines.values()))
        host.say(f"passed over, since they cannot be looked at while they start or stop: {names} ({why})")


def _names(places: Sequence[Found]) -> str:
    return ", ".join(place.machine.name for place in places)


def _nowhere(host: Host, service: Service) -> DevswapError:
    """No running machine has it; one that is stopped may."""
    asleep = [name for name in host.stopped() if service.project in name]
    if asleep:
        return DevswapError(
            f"cannot find {service.name}: no running machine has it, and {', '.join(asleep)} is stopped",
            hint=f"lxc-start -n {asleep[0]}, then try again",
        )
    for machine in host.running():
        if file := while_running(machine, partial(units.file_of_other_init, service=service)):
            by = "upstart" if file.startswith("/etc/init/") else "an init script"
            return DevswapError(
                f"cannot take {service.name} in {machine.name} over: it is started by {by} ({file}), and only services"
                " of systemd can be"
            )
    return DevswapError(
        f"cannot find {service.name} on this cloud: no running machine has the unit {service.units[0]}.service",
        hint="devswap list shows what can be swapped here",
    )


def swap(host: Host, name: str, wanted: str | None = None) -> Journal:
    """The journal of the swapped service `name`; raises DevswapError where it is not swapped."""
    if found := swap_if_any(host, name, wanted):
        return found
    for error in host.journals.unreadable():
        raise error
    host.catalogue().get(name)  # one that nobody knows is told with near names
    known = (journal.swap for journal in host.journals.all())
    swapped = ", ".join(sorted(f"{each.service} in {each.machine}" for each in known))
    raise DevswapError(
        f"{name} is not swapped" + (f" in {wanted}" if wanted else ""),
        hint=f"swapped here: {swapped}" if swapped else f"take it over: devswap checkout {name} REF",
    )


def swap_if_any(host: Host, name: str, wanted: str | None = None) -> Journal | None:
    """The same, None where it is not swapped; raises UsageError where it is swapped in several machines."""
    found = [journal for journal in host.journals.all() if journal.swap.service == name and is_meant(journal, wanted)]
    exact = [each for each in found if wanted in (each.swap.machine, name_of(each.swap.machine))]
    found = exact or found
    if len(found) > 1:
        where = ", ".join(journal.swap.machine for journal in found)
        raise UsageError(f"{name} is swapped in {where}", hint=f"say which: --machine {name_of(found[0].swap.machine)}")
    return found[0] if found else None


def is_swapped(host: Host, name: str) -> bool:
    """Whether `name` is swapped anywhere, as far as that is known: a journal that cannot be read may be its own."""
    return any(journal.swap.service == name for journal in host.journals.all()) or bool(host.journals.unreadable())


def of_only_swap(host: Host, name: str) -> str | None:
    """The address of the machine in which `name` is swapped, where that is one."""
    found = [journal.swap.machine for journal in host.journals.all() if journal.swap.service == name]
    return found[0] if len(found) == 1 else None


def is_meant(journal: Journal, wanted: str | None) -> bool:
    """Whether `wanted` names the machine of a swap: its address, its name or the beginning of its name."""
    return is_named(journal.swap.machine, wanted)


def is_named(address: str, wanted: str | None) -> bool:
    """Whether `wanted` is the address of a machine, its name or the beginning of its name."""
    machines.require_name(wanted)
    return wanted is None or wanted == address or name_of(address).startswith(wanted.removeprefix("lxc:"))


def is_anothers(host: Host, journal: Journal) -> bool:
    theirs, mine = journal.swap.owner, host.owner
    return (theirs.uid, theirs.host) != (mine.uid, mine.host)


def require_owner(host: Host, journal: Journal, *, take_over: bool | None = None) -> None:
    """Raise unless the swap is this user's: taking it from another is for people to agree on.

    `take_over` is what they have said; None for a command that has no such option.
    """
    theirs = journal.swap.owner
    if not take_over and is_anothers(host, journal):
        raise DevswapError(
            f"{journal.swap.service} is swapped by {theirs.user} on {theirs.terminal or theirs.host} "
            f"since {journal.swap.since}",
            hint="ask them" if take_over is None else "ask them, or say --take-over",
        )
