"""What a person's wish means on this cloud, and whether it can be: looked at before anything is prepared."""

from __future__ import annotations

from dataclasses import replace

from devswap import claims, foreseen, locate, remembered, way
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.discovery.units import Found
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.journal import Journal
from devswap.sources import require_ref
from devswap.wish import Makers, Wish


def locate_place(host: Host, wish: Wish) -> Found:
    """Where the service is that is meant; looks only. Raises DevswapError for one that cannot be taken over yet."""
    service = host.catalogue().get(wish.service)
    if service.supported_where is None:
        foreseen.require_supported(service)
    with remembered.while_looking() as passed_over:
        try:
            return locate.one(host, service, wish.machine)
        except DevswapError:
            locate.tell_passed_over(host, passed_over)  # it may be in one of them
            raise


def settled(host: Host, wish: Wish, *places: Found) -> Wish:
    """`wish` with the way in which all these services were taken over, unless it names one itself."""
    journals = [host.journals.find(place.service.name, place.machine.address) for place in places]
    stays = all(journal is not None and way.is_under_web_server(journal.swap) for journal in journals)
    return replace(wish, apache=True) if stays and not wish.names_a_way else wish


def require_sense(host: Host, wish: Wish, makers: Makers, *places: Found) -> None:
    """Raise for what cannot be meant of one of these while a run goes on that would be ended for it, and serves.

    Where none of them runs so, `prepare` finds it in time.
    """
    named = [(place, place.service.name, place.machine.address) for place in places]
    if all(claims.holder(host.journals.claim_path(service, machine)) is None for _, service, machine in named):
        return
    for place, service, machine in named:
        existing = host.journals.find(service, machine)
        foreseen.require_possible(examined(place, existing), wish, existing)
    require_ref(host, places[0].service, wish.ref, wish.remote, makers.require)


def examined(found: Found, existing: Journal | None) -> Deployment:
    """While swapped, the unit shows development's command: then production's is in the journal."""
    if existing is None:
        return locate.require_trusted(units.examine(found))
    return units.from_json(found, existing.swap.deployment)
