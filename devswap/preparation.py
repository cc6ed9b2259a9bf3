"""Prepares a takeover while production serves: checkout, overlay, import check, and what the database needs.

If anything is wrong it is found here, and production never notices. What is mounted meanwhile is in the journal.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial

from devswap import (
    building,
    database_needs,
    fingerprint,
    foreseen,
    interruption,
    locate,
    meant,
    meanwhile,
    overlay_of_swap,
    overlay_table,
    plan,
    production,
    remembered,
    systemd,
    table,
    traffic,
    transaction,
    way,
)
from devswap.building import Job
from devswap.database_sharing import shared_database
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.discovery.units import Found
from devswap.errors import DevswapError
from devswap.fingerprint import Watched
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.masking import mask
from devswap.prepared import Prepared
from devswap.production import Production
from devswap.shared import Shelf
from devswap.source import Checkout
from devswap.sources import Sources, gather
from devswap.steps.mount import Mount
from devswap.steps.unit import require_obedient, require_unedited
from devswap.undisturbed import undisturbed
from devswap.wish import MAKERS, Makers, Wish


def prepare(host: Host, wish: Wish, place: Found, makers: Makers = MAKERS) -> Prepared:
    """Raises DevswapError with production untouched, or with the swap as it was before. The caller has the claim."""
    existing = host.journals.find(place.service.name, place.machine.address)
    try:
        with remembered.while_looking() as passed_over:
            prepared = _prepare(host, wish, place, makers, existing)
    except BaseException:
        if existing is not None:
            _tell_ended(host, existing)
        raise
    locate.tell_passed_over(host, passed_over)
    return prepared


def _tell_ended(host: Host, journal: Journal) -> None:
    """A run on a terminal was ended for the preparation, before anybody knew that it would fail."""
    swap = journal.swap
    with suppress(DevswapError):
        if not systemd.state(host.machine(swap.machine), swap.unit).is_active:
            host.say(f"{swap.service} has {swap.ref} still, and does not run: devswap run {journal.called} starts it")


def _prepare(host: Host, wish: Wish, place: Found, makers: Makers, existing: Journal | None) -> Prepared:
    if existing is not None:
        locate.require_owner(host, existing, take_over=wish.take_over)
        transaction.require_complete(existing)
        way.require_not_given_back(Shelf(host.state / "shared"), existing)
        require_unedited(place.machine, existing.swap.unit)
    deployment = meant.examined(place, existing)
    makers.begin(overlay_of_swap.cache(host), deployment.interpreter.version)
    foreseen.require_supported(deployment.service, deployment)
    foreseen.require_possible(deployment, wish, existing)
    for line in interruption.told(deployment):
        host.say(line)
    if existing is None:
        return _prepare_first(host, deployment, wish, makers)
    return _prepare_switch(host, deployment, _gather(host, deployment, wish, makers), wish, existing, makers)


def _gather(host: Host, deployment: Deployment, wish: Wish, makers: Makers) -> Sources:
    return gather(
        host,
        deployment,
        wish.ref,
        remote=wish.remote,
        wanted=wish.libraries,
        with_depends=wish.with_depends,
        fetch=makers.fetch,
    )


def _prepare_first(host: Host, deployment: Deployment, wish: Wish, makers: Makers) -> Prepared:
    foreseen.require_own_sites(host, deployment)
    foreseen.require_ports(deployment, wish)
    foreseen.require_nothing_left(host, deployment)
    if deployment.hosted is None:  # Apache itself is never stopped
        require_obedient(deployment.machine, deployment.unit)
    foreseen.require_last_word(deployment)
    with meanwhile.heard(host.say) as say:
        looked = makers.beside(partial(production.look, replace(host, say=say), deployment, wish, makers.beside))
        sources = _gather(host, deployment, wish, makers)
        found: Production = looked()
    watched = found.watched
    journal = Journal.create(
        host.journals.folder(deployment.service.name, deployment.machine.address),
        _swap(host, deployment, sources.checkout, wish, watched, found.fingerprint),
    )
    try:
        built = building.build(Job(host, wish, makers, deployment, sources, journal, watched, number=1, replaces=False))
        return replace(built, leaving=tuple(traffic.leaving(found.served, deployment.machine.address)))
    except BaseException:
        _abandon_first(host, journal)
        raise


def show(host: Host, *prepared: Prepared) -> None:
    """What the overlays hold besides production's packages, as tables, and whom a migration concerns."""
    tables: dict[tuple[str, ...], list[str]] = {}
    for one in prepared:
        if one.sync is not None:
            database_needs.tell_neighbours(host, one.sync)
        if locked := one.description["overlay"]["packages"]:
            lines = tuple(table.lines(overlay_table.HEADER, overlay_table.rows(locked)))
            tables.setdefault(lines, []).append(one.journal.swap.service)
    for lines, services in tables.items():
        if len(tables) > 1:
            host.say(f"for {', '.join(services)}:")
        for line in lines:
            host.say(line)


def abandon(host: Host, prepared: Prepared) -> None:
    """Take away what was mounted; production, or the swap as it was, never noticed."""
    if prepared.replaces:
        _abandon_switch(host, prepared.journal)
    else:
        _abandon_first(host, prepared.journal)


def _abandon_first(host: Host, journal: Journal) -> None:
    with undisturbed(host), transaction.whole_or_said(journal):
        transaction.rollback(journal, host.cloud(journal))
        journal.remove()


def _abandon_switch(host: Host, journal: Journal) -> None:
    """All that is mounted besides what serves: an overlay under construction as well."""
    serving = plan.slot(journal.swap.service, journal.swap.slot).checkout.rpartition("/")[0] + "/"
    with undisturbed(host):
        transaction.withdraw(
            journal, host.cloud(journal), lambda step: isinstance(step, Mount) and not step.target.startswith(serving)
        )


def _prepare_switch(
    host: Host, deployment: Deployment, sources: Sources, wish: Wish, journal: Journal, makers: Makers
) -> Prepared:
    watched = fingerprint.watched_from_json(journal.swap.watched)
    number = journal.swap.slot + 1
    try:
        return building.build(
            Job(host, wish, makers, deployment, sources, journal, watched, number=number, replaces=True)
        )
    except BaseException:
        _abandon_switch(host, journal)
        raise


def _swap(
    host: Host, deployment: Deployment, checkout: Checkout, wish: Wish, watched: Watched, before: dict[str, str]
) -> Swap:
    return Swap(
        service=deployment.service.name,
        project=deployment.service.project,
        package=deployment.service.package,
        machine=deployment.machine.address,
        unit=plan.unit_of(deployment, in_apache=wish.apache),
        owner=host.owner,
        since=host.now(),
        ref=mask(wish.ref),
        commit=checkout.commit,
        subject=checkout.subject,
        checkout=str(checkout.path),
        mode="preparing",
        slot=1,
        watched=watched.as_json(),
        deployment=units.as_json(deployment),
        fingerprint=before,
        shares=[
            *([shared_database(watched.database)] if watched.database else []),
            *([watched.sqlite.name] if watched.sqlite else []),
        ],
    )
