"""How a swap's development shall run: what was said of it so far, changed by what is asked for now."""

from __future__ import annotations

from collections.abc import Sequence

from devswap import breakpoints, debugging, known_modules, known_options, listed_options, plan, ports
from devswap.breakpoints import Breakpoint, Tree
from devswap.errors import DevswapError, UsageError
from devswap.host import Host
from devswap.journal import Swap
from devswap.known_options import Known
from devswap.tuning import DEBUG, DEBUGPY, PDB, Changes, Tuning, require_lines


def tuned(host: Host, swap: Swap, changes: Changes, trees: Sequence[Tree], argv: Sequence[str]) -> Tuning:
    """How the swap's development shall run now; raises DevswapError for a change that its checkouts cannot have.

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
    if found.debugger != DEBUGPY and changes.for_an_editor:
        raise UsageError(
            f"{changes.for_an_editor} is for debugpy, and {swap.service} has {found.debugger}",
            hint=f"devswap checkout {swap.service} {swap.ref} --debugger debugpy",
        )
    if changes.lists:
        listed_options.require_possible(host.machine(swap.machine), swap, list(changes.lists))
    debugging.require(changes.breakpoints, trees, swap.package)
    if found.debugger != DEBUGPY or found.listen:
        return debugging.with_address(found, ())
    machine, others = host.machine(swap.machine), _others_ports(host, swap)
    found = debugging.with_address(found, machine.addresses(), {*others, *ports.taken(machine)})
    if not found.listen.endswith(f":{debugging.PORT}"):
        host.say(f"port {debugging.PORT} is taken in {machine.name}: debugpy listens on {found.listen}")
    return found


def _others_ports(host: Host, swap: Swap) -> set[int]:
    """Of debugpy in the other services that are swapped in the same machine, whether they run now or not."""
    beside = [each.swap for each in host.journals.all() if each.swap.machine == swap.machine]
    listens = [Tuning.read(each.tuning).listen for each in beside if each.service != swap.service]
    return {int(each.rpartition(":")[2]) for each in listens if each}


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
    trees = debugging.trees(swap)
    python = plan.slot(swap.service, swap.slot).python
    known = known_of(host, swap, python, changes, trees)
    return with_lists(host, swap, tuned(host, swap, changes, trees, swap.command["argv"]), known)


def known_of(host: Host, swap: Swap, python: str, changes: Changes, trees: Sequence[Tree]) -> Known | None:
    """What the checkout's code says of its options, where any are set; what cannot be told is said.

    Raises UsageError for settings of options that it has not, and DevswapError for breakpoints in modules that `python`
    would not find.
    """
    wanted = [breakpoints.parse(text) for text in changes.breakpoints]
    _require_modules(host, swap, python, breakpoints.elsewhere(wanted, trees))
    names = [name for name in (*changes.settings, *changes.lists) if name != DEBUG]
    if not names:
        return None
    known = known_options.listed(host.machine(swap.machine), swap.service, python, swap.deployment)
    for line in known_options.doubtful(known, names):
        host.say(line)
    return known


def with_lists(host: Host, swap: Swap, tuning: Tuning, known: Known | None) -> Tuning:
    """`tuning` where an option that may be given several times is never a variable, which cannot hold it."""
    names = known_options.of_several(known, tuning.settings)
    if names:
        listed_options.require_possible(host.machine(swap.machine), swap, names)
    found = tuning.with_lists(names)
    require_lines(found.lists)
    return found


def _require_modules(host: Host, swap: Swap, python: str, wanted: Sequence[Breakpoint]) -> None:
    named = {each.module: each for each in wanted if each.module}
    if not named:
        return
    for module in known_modules.missing(host.machine(swap.machine), swap.service, python, swap.deployment, list(named)):
        raise DevswapError(
            f"no breakpoint at {named[module].text}: {swap.service} has no module {module} that is written in Python",
            hint="--break MODULE:QUALNAME, the module as it is imported",
        )
