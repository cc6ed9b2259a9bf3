"""Production comes back, whatever goes wrong while a swap is worked on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace

from devswap import (
    claims,
    database_claims,
    development,
    half_loaded,
    hooks_of_swap,
    proof,
    systemd,
    transaction,
    way,
)
from devswap.errors import DevswapError, MachineGone, NotWhole, Untouched
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.outage import Outage
from devswap.proof import Restored
from devswap.steps.beside import RunBeside
from devswap.steps.mount import Mount, MountPassing
from devswap.steps.step import NOTHING_KEPT, Kept, Step
from devswap.undisturbed import undisturbed
from devswap.watcher import Watcher

_PREPARING = {Mount.kind, MountPassing.kind, RunBeside.kind}


def bring_back(host: Host, journal: Journal, kept: Kept = NOTHING_KEPT) -> Restored:
    """Undo everything, then compare; the caller has the claim."""
    swap = journal.swap
    cloud = replace(host.cloud(journal), kept=kept, outage=Outage((swap.machine, swap.unit)))
    holding = {kind for kind, step in Step.known.items() if step.holds}
    untouched = swap.mode == "preparing" and not holding & set(swap.touched)
    only_mounted = swap.mode == "preparing" and set(swap.touched) <= _PREPARING
    # Who has not begun need not wait until others have done with the database.
    databases = nullcontext() if only_mounted else database_claims.held(host, journal, claims.RESTORE)
    with transaction.whole_or_said(journal), databases:
        with host.changing(seconds=None) as changed:
            with suppress(DevswapError, OSError):
                _end_preparations(changed, swap)
            if not untouched:
                with suppress(OSError):  # a full disk: it only tells `run` that there is nothing to run any more
                    journal.describe(mode="restoring")
            if _serves(host, journal):
                cloud.outage.begin()
            if not only_mounted:  # else production has not been stopped, and nobody has the claims
                half_loaded.bring_to_its_end(journal, replace(cloud, aside=changed.aside))
            transaction.rollback(journal, replace(cloud, aside=changed.aside))
            _end_preparations(changed, swap)  # what could not be ended is said when production is back
        restored = proof.prove(host, journal, cloud)
    if not untouched:
        hooks_of_swap.restored(host, swap)
    return restored


def _end_preparations(host: Host, swap: Swap) -> None:
    """What a killed devswap was building, checking or having made: it would go on in mounts that nobody sees."""
    with suppress(MachineGone):  # it went with its machine
        machine = host.machine(swap.machine)
        for unit in development.preparing_units(swap.service):
            if machine.is_running() and machine.exists(f"/run/systemd/transient/{unit}"):
                systemd.stop(machine, unit, late=host.aside)


def _serves(host: Host, journal: Journal) -> bool:
    """Whether development runs, so that its end is the beginning of an outage; a web server lets go of no request."""
    swap = journal.swap
    if not transaction.is_complete(journal) or way.is_in_apache(swap):
        return False
    try:
        machine = host.machine(swap.machine)
        return way.is_held(machine, swap) and systemd.state(machine, swap.unit).is_active
    except DevswapError:  # what is wrong is said by the first undo
        return False


@contextmanager
def or_back(host: Host, journal: Journal) -> Iterator[None]:
    """Whatever goes wrong inside, an interrupt included: production comes back before anybody hears of it."""
    try:
        yield
    except (NotWhole, Untouched):
        raise
    except BaseException as error:
        with undisturbed(host):
            left = host.journals.find(journal.swap.service, journal.swap.machine)
            if left is not None:
                host.say(f"{reason(error)}: bringing production back")
                restored = bring_back(host, left)
                host.say(f"production is back: {restored.told}")
        raise


def reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError):
        return str(error)
    return error.message.partition("\n")[0] if isinstance(error, DevswapError) else type(error).__name__


@contextmanager
def still_held(called: str) -> Iterator[None]:
    """What goes wrong inside leaves the swap as it is, and production is not whole meanwhile."""
    hint = f"mend it and devswap run {called}, or devswap restore {called} gives production back"
    try:
        yield
    except NotWhole:
        raise
    except KeyboardInterrupt as error:
        raise NotWhole("interrupted; the service is still swapped", hint=hint) from error
    except Exception as error:
        if isinstance(error, DevswapError):
            raise NotWhole(error.message, hint="; then ".join(filter(None, (error.hint, hint)))) from error
        raise NotWhole(f"{type(error).__name__}: {error}", hint=hint) from error


@contextmanager
def cleaned_up(host: Host, service: str, machine: str) -> Iterator[None]:
    """What goes wrong between preparing and taking over, an interrupt above all, leaves mounts: they go too."""
    try:
        yield
    except NotWhole:
        raise
    except BaseException:
        with undisturbed(host):
            left = host.journals.find(service, machine)
            if left is not None and left.swap.mode == "preparing" and left.swap.owner == host.owner:
                bring_back(host, left)
        raise


@contextmanager
def given_back(host: Host, journal: Journal) -> Iterator[None]:
    """Production comes back when the run ends, even if devswap is killed."""
    swap = journal.swap
    watcher = Watcher(swap.service, swap.machine)
    try:
        yield
    finally:
        with undisturbed(host):
            left = host.journals.find(swap.service, swap.machine)
            if left is not None:
                restored = bring_back(host, left)
                host.say(f"production is back: {restored.told}")
            watcher.dismiss()
