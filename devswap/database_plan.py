"""What a checkout needs of its project's databases: looked at beside its import, since both take a while."""

from __future__ import annotations

from dataclasses import dataclass

from devswap import database_claims, database_needs, plan
from devswap.database_sharing import shared_database
from devswap.deployment import Deployment
from devswap.fingerprint import Watched, watched_from_json
from devswap.host import Host
from devswap.journal import Journal
from devswap.shared import Record, Shelf
from devswap.slot import Slot
from devswap.source import Checkout
from devswap.steps.apache import RefreshFront
from devswap.steps.database import SyncDatabase
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.values import PutBackValues


@dataclass(frozen=True)
class Needed:
    """See prepared.py."""

    sync: SyncDatabase | None
    put_back: PutBackValues | None
    returns_first: bool = False
    fronts: tuple[RefreshFront, ...] = ()
    seen: Record | None = None
    """What earlier swaps have captured of the database, and who they are."""
    sqlite: KeepSqlite | None = None


def is_outdated(host: Host, journal: Journal, seen: Record | None, together: frozenset[str]) -> bool:
    """Whether others have migrated the database since `needed`, or have given it back; the caller has its claim.

    `together` are the swaps that are taken over with this one: what those do was foreseen.
    """
    database = watched_from_json(journal.swap.watched).database
    if database is None:
        return False
    ours = {journal.folder.name, *together}
    now = Shelf(host.state / "shared").find(shared_database(database))
    before, after = (each.captured if each and not ours.issuperset(each.holders) else None for each in (seen, now))
    return bool(before != after)


def needed(
    host: Host,
    deployment: Deployment,
    journal: Journal,
    checkout: Checkout,
    watched: Watched,
    place: Slot,
    *,
    snapshot: bool,
) -> Needed:
    """Looks only, while no living devswap works on them.

    Raises DevswapError for a checkout that the databases as they are cannot serve.
    """
    with database_claims.held(host, journal, "checkout"):
        database, others = watched.database, watched.others
        sqlite = _sqlite(host, deployment, journal, watched)
        put_back = database_needs.put_back(host, deployment, journal, [database, *others] if database else [])
        if database is None:
            database_needs.require_nothing_pending(host, deployment, checkout, snapshot=snapshot)
            return Needed(None, put_back, sqlite=sqlite)
        needs = database_needs.Needs(host, deployment, checkout, journal, database, others)
        sync, first = needs.migration(place, snapshot=snapshot)
        seen = Shelf(host.state / "shared").find(shared_database(database))
        return Needed(sync, put_back, first, needs.fronts(sync) if sync else (), seen, sqlite)


def _sqlite(host: Host, deployment: Deployment, journal: Journal, watched: Watched) -> KeepSqlite | None:
    """Once for all checkouts of a swap; None where the service has no such files."""
    if watched.sqlite is None or any(entry.step["kind"] == KeepSqlite.kind for entry in journal.entries):
        return None
    step = plan.keep_sqlite(deployment, watched.sqlite, host.catalogue())
    if Shelf(host.state / "shared").find(watched.sqlite.name) is None:
        step.require_space(deployment.machine, host.state)
    return step
