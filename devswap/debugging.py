"""What the debugger inside a service (debugger/) is told when the service starts."""

from __future__ import annotations

import ipaddress
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from devswap import breakpoints, plan
from devswap.breakpoints import Tree
from devswap.errors import UsageError
from devswap.journal import Swap
from devswap.slot import Slot
from devswap.tuning import PDB, Tuning

PORT = 5678


def as_json(swap: Swap, terminal: str | None) -> str:
    """For the variable DEVSWAP_DEBUGGER. `terminal` is the device of a foreground run."""
    place, tuning = plan.slot(swap.service, swap.slot), Tuning.read(swap.tuning)
    told = {
        "terminal": terminal,
        "history": f"{place.bytecode}/debugger-history",
        "breakpoints": [breakpoints.parse(text).as_json(trees(swap)) for text in tuning.breakpoints],
        "placed": placed_file(swap) if tuning.breakpoints else "",
        "post_mortem": tuning.post_mortem,
        "stacks": stacks_file(swap),
        "patient": swap.traffic.get("patient", 0),
        **(_other(swap, tuning) if tuning.debugger != PDB else {}),
    }
    return json.dumps({name: value for name, value in told.items() if value})


def _other(swap: Swap, tuning: Tuning) -> dict[str, Any]:
    told = {"debugger": tuning.debugger, "listen": tuning.listen, "wait": tuning.wait_for_client}
    return {**told, "package": swap.package}


def with_address(tuning: Tuning, addresses: Sequence[str], taken: Collection[int] = ()) -> Tuning:
    """Where debugpy listens, if nobody has said it: an address of its machine that no stranger can reach.

    On the usual port, or the next one that is not `taken`.

    Raises UsageError where the machine has none: what listens there runs anybody's code.
    """
    if tuning.debugger != "debugpy":
        return replace(tuning, listen="")
    if tuning.listen:
        return tuning
    private = [each for each in addresses if ipaddress.ip_address(each).is_private]
    if not private:
        raise UsageError(
            "debugpy would listen on a public address, where anybody could run code",
            hint="--listen 127.0.0.1:5678, and an ssh tunnel; or name the address all the same",
        )
    port = next(each for each in itertools.count(PORT) if each not in taken)
    return replace(tuning, listen=f"{private[0]}:{port}")


def stacks_file(swap: Swap) -> str:
    """Where the service writes its stacks when it is asked for them; the path in its machine."""
    return f"{plan.slot(swap.service, swap.slot).bytecode}/stacks"


def placed_file(swap: Swap) -> str:
    """Where the service notes which breakpoints it has met the place of; the path in its machine."""
    return f"{plan.slot(swap.service, swap.slot).bytecode}/breakpoints"


def trees(swap: Swap) -> list[Tree]:
    """What a swap runs from: its own checkout first."""
    return trees_at(
        plan.slot(swap.service, swap.slot),
        Path(swap.checkout),
        {each["folder"]: Path(each["checkout"]) for each in swap.libraries},
    )


def trees_at(place: Slot, checkout: Path, libraries: Mapping[str, Path]) -> list[Tree]:
    """`libraries` are their checkouts by the name of their folder in the machine."""
    own = Tree(checkout, place.checkout)
    return [own, *(Tree(here, place.library(folder)) for folder, here in libraries.items())]


def require(wanted: Sequence[str], known: Sequence[Tree], package: str) -> None:
    """Raises DevswapError for a breakpoint that those checkouts have no place for."""
    for text in wanted:
        breakpoints.require(breakpoints.parse(text), known, package)
