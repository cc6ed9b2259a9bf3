"""What swaps share a project's databases under: one name for each, so that one capture holds it as it was.

The name is the configured database's. Where services of one project are configured with different ones that lead to the
same schemas in the end, the second would capture what the first has changed: that is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from devswap.database_source import Source
from devswap.errors import DevswapError
from devswap.shared import Record, Shelf
from devswap.steps.step import from_json


def shared_database(source: Source) -> str:
    """The name that all swaps with this database share it under."""
    return f"database {source.name} behind {source.client if source.is_loopback else source.address}"


def require_one_name(shelf: Shelf, kind: str, sources: Sequence[Source]) -> None:
    """Raise where a step of `kind` has captured one of `sources` under another name than theirs."""
    for record in shelf.all():
        theirs = captured_sources(record) if record.step["kind"] == kind else ()
        if not theirs or shared_database(theirs[0]) == shared_database(sources[0]):
            continue
        both = [each.name for each in sources if any(each.is_same_as(other) for other in theirs)]
        if both:
            holder, own = record.holders[0], sources[0]
            raise DevswapError(
                f"cannot tell how {', '.join(both)} was before: {holder} has changed it already, and is configured "
                f"with {theirs[0].name} at {theirs[0].address}, not with {own.name} at {own.address}",
                hint=f"one of them at a time: devswap restore {holder.partition('@')[0]}, then try again",
            )


def captured_sources(record: Record) -> tuple[Source, ...]:
    """The databases that `record` is about; none where it is about something else."""
    found: tuple[Source, ...] = getattr(from_json(record.step), "databases", ())
    return found
