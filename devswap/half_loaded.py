"""A load that was interrupted: nobody starts on what is half there, whosever restore it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from devswap import database_claims, database_parts
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.journal import Journal
from devswap.shared import Record, Shelf
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Cloud, from_json


def of_others(shelf: Shelf, journal: Journal) -> Iterator[Record]:
    """The captures that `journal` has no part in, half loaded, of databases that its units use.

    The caller has the claims of these, so that whoever loaded them does so no more.
    """
    for record in shelf.readable():
        if journal.folder.name in record.holders or not database_parts.is_half_loaded(shelf.vault(record.name)):
            continue
        if _is_used_by(journal, record):
            yield record


def _is_used_by(journal: Journal, record: Record) -> bool:
    """Also where its machine did not run when the database's users were looked for."""
    units = {f"{on} {unit}" for on, unit in database_claims.units_of(journal)}
    if not units.isdisjoint(f"{on} {unit}" for on, unit in record.step.get("users", ())):
        return True
    own, theirs = map(database_claims.names, (database_claims.watched_by(journal), database_claims.captured_by(record)))
    return not own.isdisjoint(theirs)


def require_none(host: Host, journal: Journal) -> None:
    """Raise where development would start on one."""
    with database_claims.held(host, journal, "run"):
        for record in of_others(Shelf(host.state / "shared"), journal):
            raise DevswapError(
                f"the {record.name} is half loaded: what was bringing it back was interrupted",
                hint=f"devswap restore {host.journals.called(record.holders[0])}, then try again",
            )


def bring_to_its_end(journal: Journal, cloud: Cloud) -> None:
    """Before production starts, as the restore would do it that was interrupted; that one finds it done then.

    Not where the database stays as it is by the user's word: it may be out of reach.
    """
    if SyncDatabase.kind in cloud.kept.kinds:
        return
    shelf = Shelf(cloud.shared)
    for record in list(of_others(shelf, journal)):
        cloud.say(f"the {record.name} is half loaded: a restore of {record.holders[0]} was interrupted")
        # What this swap holds stopped is started by its own steps, which come after.
        place = replace(
            cloud, vault=shelf.vault(record.name), other_swaps=lambda: [*cloud.other_swaps(), journal.entries]
        )
        with cloud.aside():
            from_json(record.step).undo(place, record.captured)
