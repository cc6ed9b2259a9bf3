"""What the debugger inside a service (debugger/) is told when the service starts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from devswap import breakpoints, plan
from devswap.journal import Swap
from devswap.tuning import Tuning


def as_json(swap: Swap, terminal: str | None) -> str:
    """For the variable DEVSWAP_DEBUGGER. `terminal` is the device of a foreground run."""
    place, tuning = plan.slot(swap.service, swap.slot), Tuning.read(swap.tuning)
    told = {
        "terminal": terminal,
        "history": f"{place.bytecode}/debugger-history",
        "breakpoints": [breakpoints.parse(text).as_json(place) for text in tuning.breakpoints],
        "post_mortem": tuning.post_mortem,
        "stacks": stacks_file(swap),
    }
    return json.dumps({name: value for name, value in told.items() if value})


def stacks_file(swap: Swap) -> str:
    """Where the service writes its stacks when it is asked for them; the path in its machine."""
    return f"{plan.slot(swap.service, swap.slot).bytecode}/stacks"


def require(wanted: Sequence[str], checkout: Path, package: str) -> None:
    """Raises DevswapError for a breakpoint that `checkout` has no place for."""
    for text in wanted:
        breakpoints.require(breakpoints.parse(text), checkout, package)
