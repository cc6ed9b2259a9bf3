"""Which locks a change needs that moves a service's work from one process to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from devswap import database_claims
from devswap.host import Host
from devswap.journal import Journal


@contextmanager
def traffic(host: Host, journal: Journal, doing: str) -> Iterator[Host]:
    """For what development gets once it serves, and gives back before it stops: HAProxy's requests, peers' messages.

    Peers use the project's database: they are neither stopped nor started while another swap loads it. Who stops none
    need not wait for that. What serves is not given up because this takes its time.
    """
    with _databases(database_claims.held, host, journal, doing), host.changing(seconds=None) as changed:
        yield changed


@contextmanager
def traffic_if_free(host: Host, journal: Journal, doing: str) -> Iterator[Host]:
    """As `traffic`; raises Busy where it would wait for a database, which takes minutes: somebody is at a terminal."""
    with _databases(database_claims.held_if_free, host, journal, doing), host.changing(seconds=None) as changed:
        yield changed


def _databases(
    held: Callable[[Host, Journal, str], AbstractContextManager[None]], host: Host, journal: Journal, doing: str
) -> AbstractContextManager[None]:
    return held(host, journal, doing) if journal.swap.traffic.get("only") else nullcontext()
