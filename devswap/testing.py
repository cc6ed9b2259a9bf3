"""The journal of a run of unit tests: what is mounted for it is taken away, whatever happens to devswap meanwhile.

A run is a small swap itself (tests:SERVICE), which `status` shows and `restore` undoes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from devswap import claims, transaction
from devswap.claims import Holder
from devswap.discovery.units import Found
from devswap.errors import DevswapError
from devswap.fingerprint import Watched
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.masking import mask
from devswap.source import Checkout
from devswap.undisturbed import undisturbed

_PREFIX = "tests:"
MODE = "testing"


def is_one(service: str) -> bool:
    """Whether it is a run of tests, and no service is swapped by it."""
    return service.startswith(_PREFIX)


def state(host: Host, swap: Swap) -> tuple[str, bool, str]:
    """(state, whether all is well, why) for `status`."""
    if claims.holder(host.journals.claim_path(swap.service, swap.machine)) is not None:
        return MODE, True, f"the unit tests of {swap.project} run"
    return "interrupted", False, f"devswap restore {swap.service} takes away what they had mounted"


@contextmanager
def claimed(host: Host, service: str, machine: str) -> Iterator[None]:
    """One run of the tests of a service in a machine at a time."""

    def busy(holder: Holder) -> None:
        raise DevswapError(
            f"tests of {service} run already: process {holder.owner.pid} of {holder.owner.user}",
            hint="wait for their end, or end that process",
        )

    path = host.journals.claim_path(f"{_PREFIX}{service}", machine)
    with claims.claim(path, Holder(host.owner, "test"), busy=busy):
        yield


@contextmanager
def journal(host: Host, found: Found, checkout: Checkout) -> Iterator[Journal]:
    """What is mounted is on disk as long as it is; what a killed run left goes first."""
    name, address = f"{_PREFIX}{found.service.name}", found.machine.address
    if left := host.journals.find(name, address):
        _end(host, left)
    swap = Swap(
        service=name,
        project=found.service.project,
        package="",
        machine=address,
        unit="",
        owner=host.owner,
        since=host.now(),
        ref=mask(checkout.ref),
        commit=checkout.commit,
        subject=checkout.subject,
        checkout=str(checkout.path),
        mode="preparing",
        slot=1,
        watched=Watched(address, name, "", (), (), None, None).as_json(),
        deployment={},
    )
    created = Journal.create(host.journals.folder(name, address), swap)
    try:
        yield created
    finally:
        _end(host, created)


def _end(host: Host, journal: Journal) -> None:
    with undisturbed(host), transaction.whole_or_said(journal):
        transaction.rollback(journal, host.cloud(journal))
        journal.remove()
