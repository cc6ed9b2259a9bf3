"""Production as it is found before a first takeover: what a restore will hold it against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from devswap import baseline, database_claims, fingerprint, foreseen, meanwhile, peers, remembered, systemd, traffic
from devswap.database_claims import Claimed
from devswap.database_sharing import shared_database
from devswap.deployment import Deployment
from devswap.errors import DevswapError
from devswap.fingerprint import Watched
from devswap.host import Host
from devswap.meanwhile import Beside
from devswap.shared import Shelf
from devswap.steps.unit import require_at_rest
from devswap.traffic import Served
from devswap.wish import Wish


@dataclass(frozen=True)
class Production:
    served: list[Served]
    """Where HAProxy sends its requests."""
    watched: Watched
    fingerprint: dict[str, str]


def look(host: Host, deployment: Deployment, wish: Wish, beside: Beside = meanwhile.afterwards) -> Production:
    """Changes nothing; raises DevswapError for what is no state to come back to.

    `beside` says how two things are looked at side by side.
    """
    service, machine, unit = deployment.service, deployment.machine, deployment.unit
    served = traffic.of_deployment(host, deployment)
    traffic.require_sound(each.balancer for each in served)
    watched = baseline.watch(host, deployment)
    # A restore of another swap may stop this service for an instant, or its peers: that is not how production was.
    with database_claims.of(host, partial(_databases, host, deployment, watched, wish), f"checkout of {service.name}"):
        others = _peers(host, deployment, only=wish.only)
        watched = replace(
            watched,
            balanced=tuple(map(traffic.balanced, served)),
            peers=tuple(others if wish.only else ()),
        )
        host.say(f"taking the fingerprint of production's {service.name}")
        with host.changing(), remembered.at_this_instant():
            foreseen.require_not_stopped(host, deployment)
            require_at_rest(machine, unit, systemd.settled(machine, unit))
            before = fingerprint.take(watched, host.machine, beside=beside, apart=traffic.without_others(host))
            names = [shared_database(watched.database)] if watched.database else []
            names += [watched.sqlite.name] if watched.sqlite else []
            if any(Shelf(host.state / "shared").find(name) for name in names):
                # Another swap has migrated it: how it was before is in that swap's fingerprint.
                before = {name: value for name, value in before.items() if not name.startswith("database ")}
            return Production(served, watched, traffic.before_others(before, traffic.movers(host, watched)))


def _databases(host: Host, deployment: Deployment, watched: Watched, wish: Wish) -> Iterator[Claimed]:
    """Its own, and those for which what is looked at is stopped."""
    yield from (each for each in (watched.database, *watched.others, watched.sqlite) if each is not None)
    peers_of_it = peers.elsewhere(host, deployment) if wish.only else ()
    places = [(each.machine.address, each.unit) for each in peers_of_it]
    own = [(watched.on, watched.unit), (watched.on, watched.front)]
    yield from database_claims.for_which_are_stopped(host, (*own, *places))


def require_unchanged(host: Host, deployment: Deployment, before: Mapping[str, str]) -> None:
    """Raises DevswapError where production is not as it was found: to fetch and to build may take minutes."""
    foreseen.require_own_sites(host, deployment)
    foreseen.require_not_stopped(host, deployment)
    machine, unit, was = deployment.machine, deployment.unit, before.get("unit state")
    found = systemd.settled(machine, unit)
    require_at_rest(machine, unit, found)
    if was is not None and found.active != was:
        raise DevswapError(
            f"{unit} in {machine.name} was {was} and is {found.active}: it was changed while this was prepared",
            hint=f"find out by whom, then type the same again; devswap logs {deployment.service.name} shows its log",
        )

    site = deployment.hosted
    read = [(site.path, site.text), *site.listening] if site is not None else []
    for path, text in read:
        if (machine.read_text(path) or "") != text:
            raise DevswapError(
                f"{path} in {machine.name} was changed while this was prepared, and is shared with others",
                hint="type the same again",
            )


def _peers(host: Host, deployment: Deployment, *, only: bool) -> list[peers.Peer]:
    found, queue = peers.of(host, deployment), deployment.service.queue
    if found and queue:
        host.say(peers.told(deployment.service.name, queue.topic, found, only=only))
    return found
