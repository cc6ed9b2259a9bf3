"""The machines of this host, and which of them a person means."""

from __future__ import annotations

from collections.abc import Sequence

from devswap.backed_machine import BackedMachine
from devswap.backends import lxc
from devswap.backends.local import Local
from devswap.discovery.units import Found
from devswap.errors import MachineGone, UsageError
from devswap.machine import Machine


def running() -> list[Machine]:
    """Every running container, and last this host itself: services may run on metal, and tools may be there only."""
    return [*(BackedMachine(backend) for backend in lxc.running()), BackedMachine(Local())]


def stopped() -> list[str]:
    """The names of containers that exist and do not run."""
    return lxc.stopped()


def at(address: str) -> Machine:
    """The machine written as `address`, running or not; raises DevswapError for one that does not exist."""
    kind, _, name = address.partition(":")
    if kind == "local":
        return BackedMachine(Local())
    if kind == "lxc":
        backend = lxc.Lxc(name)
        if backend.is_defined():
            return BackedMachine(backend)
        raise MachineGone(f"there is no LXC container {name}", address=address, hint="lxc-ls -f shows those there are")
    raise UsageError(f"cannot reach {address!r}: unknown kind of machine", hint="write lxc:NAME or local:")


def require_name(wanted: str | None) -> None:
    """Raises UsageError for an empty name, which would be the beginning of every other."""
    if wanted is not None and not wanted.removeprefix("lxc:").strip():
        raise UsageError("--machine takes a machine's name, and this one is empty", hint="devswap list shows them")


def choose(found: Sequence[Found], wanted: str | None) -> list[Found]:
    """Those of `found` on the machine `wanted`: its address, its name or the beginning of its name."""
    require_name(wanted)
    if wanted is None:
        return list(found)
    exact = [place for place in found if wanted in (place.machine.address, place.machine.name)]
    return exact or [place for place in found if place.machine.name.startswith(wanted.removeprefix("lxc:"))]
