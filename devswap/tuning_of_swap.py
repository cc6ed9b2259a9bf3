"""How a swap's development shall run: what was said of it so far, changed by what is asked for now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from devswap import debugging, known_options, listed_options, plan
from devswap.errors import UsageError
from devswap.host import Host
from devswap.journal import Swap
from devswap.tuning import DEBUG, PDB, Changes, Tuning


def tuned(host: Host, swap: Swap, changes: Changes, checkout: Path, argv: Sequence[str]) -> Tuning:
    """How the swap's development shall run now; raises DevswapError for a change that `checkout` cannot have.

    Breakpoints from before that it has no place for are the service's to say: see debugger/breakpoints.py.
    """
    service = host.catalogue().get(swap.service)
    if (changes.settings or changes.lists) and not service.oslo_config:
        raise UsageError(
            f"{swap.service} has no options of oslo.config: --set and --debug would change nothing",
            hint=_how_to_edit(swap, service.config),
        )
    one_worker = service.one_worker
    found = changes.applied(Tuning.read(swap.tuning), service=swap.service, one_worker=one_worker, argv=argv)
    if changes.lists:
        listed_options.require_possible(host.machine(swap.machine), swap, list(changes.lists))
    debugging.require(changes.breakpoints, checkout, swap.package)
    return debugging.with_address(found, host.machine(swap.machine).addresses() if found.debugger != PDB else ())


def _how_to_edit(swap: Swap, default: Sequence[str]) -> str:
    file = next(iter(swap.deployment.get("config_files") or default), "")
    return f"its file, for development alone: devswap edit {swap.service} {file}".rstrip()


def tuned_again(host: Host, swap: Swap, changes: Changes) -> Tuning:
    """As `tuned`, for another run of the same checkout, whose overlay has the debugger that it was made with."""
    if changes.debugger not in (None, PDB, Tuning.read(swap.tuning).debugger):
        raise UsageError(
            f"the overlay of {swap.service} has no {changes.debugger}",
            hint=f"devswap checkout {swap.service} {swap.ref} --debugger {changes.debugger}",
        )
    require_options(host, swap, plan.slot(swap.service, swap.slot).python, changes)
    return tuned(host, swap, changes, Path(swap.checkout), swap.command["argv"])


def require_options(host: Host, swap: Swap, python: str, changes: Changes) -> None:
    """Raises UsageError for settings of options that the checkout's code has not; what cannot be told is said."""
    names = [name for name in (*changes.settings, *changes.lists) if name != DEBUG]
    if names:
        known = known_options.listed(host.machine(swap.machine), swap.service, python, swap.deployment)
        for line in known_options.doubtful(known, names):
            host.say(line)
