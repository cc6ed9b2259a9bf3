"""Where several services are that a person names together: one project, one cloud."""

from __future__ import annotations

from collections.abc import Sequence

from devswap import locate, meant
from devswap.discovery import machines, units
from devswap.discovery.units import Found
from devswap.errors import UsageError
from devswap.host import Host
from devswap.journal import Journal
from devswap.service import Service
from devswap.wish import Wish


def places(host: Host, services: Sequence[str], wanted: str | None) -> list[Found]:
    """Where they are, all in one cloud; `wanted` names the machine of any of them.

    Raises UsageError for services that cannot be meant together.
    """
    require_distinct(services)
    known = [host.catalogue().get(name) for name in services]
    for other in known[1:]:
        if other.project != known[0].project:
            raise UsageError(
                f"{known[0].name} is of {known[0].project} and {other.name} of {other.project}: "
                "services that are taken over together share one checkout",
                hint=f"devswap checkout {known[0].name} REF, and then devswap checkout {other.name} REF",
            )
    cloud, found = _cloud(host, known, wanted), []
    for service in known:
        named = wanted is not None and machines.choose(list(units.find([service], host.running())), wanted)
        chosen = wanted if named else cloud
        wish = Wish(service.name, "", chosen, None, detach=True)
        found.append(meant.locate_place(host, wish))
        cloud = cloud or units.cloud_of(found[0].machine.name)
    return found


def require_distinct(services: Sequence[str]) -> None:
    twice = [name for name in services if services.count(name) > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice", hint="name each service once, and the REF last")


def _cloud(host: Host, services: Sequence[Service], wanted: str | None) -> str | None:
    """The cloud of the machine `wanted`; one that none of them runs in is an error of its first service's."""
    if wanted is None:
        return None
    meant = machines.choose(list(units.find(services, host.running())), wanted)
    return units.cloud_of(meant[0].machine.name) if meant else wanted


def swapped(host: Host, name: str, wanted: str | None) -> Journal:
    """The swap of `name` in the machine `wanted`, or else in its cloud."""
    known = [journal for journal in host.journals.all() if journal.swap.service == name]
    if wanted is None or any(locate.is_meant(journal, wanted) for journal in known):
        return locate.swap(host, name, wanted)
    return locate.swap(host, name, units.cloud_of(wanted.removeprefix("lxc:")))
