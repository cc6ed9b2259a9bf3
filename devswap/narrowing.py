"""Narrows a service to one of its servers in HAProxy, without a swap, and shows who gets its requests.

A narrowing is a small swap itself: a journal of its own (haproxy:SERVICE), which `status` shows and `restore` undoes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from devswap import balancer as balancers
from devswap import claims, fingerprint, locate, traffic, transaction
from devswap.claims import Holder
from devswap.errors import DevswapError, UsageError
from devswap.fingerprint import Watched
from devswap.haproxy import Server
from devswap.haproxy_socket import Row
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.steps.haproxy import ACTIVE, BACKUP, OUT, MoveTraffic
from devswap.steps.step import from_json
from devswap.traffic import Served
from devswap.undisturbed import undisturbed

_PREFIX = "haproxy:"
MODE = "narrowed"


def is_one(service: str) -> bool:
    """Whether it is a narrowing, and no service is swapped by it."""
    return service.startswith(_PREFIX)


def called(service: str) -> str:
    """What a narrowing narrows."""
    return service.removeprefix(_PREFIX)


def is_all_there_is(host: Host, name: str) -> bool:
    """Whether `name` is narrowed and not swapped: then `restore` means the narrowing."""
    known = {journal.swap.service for journal in host.journals.all()}
    return f"{_PREFIX}{name}" in known and name not in known


# --- show ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ServerStatus:
    """One server, as HAProxy sees it now."""

    haproxy: str
    backend: str
    server: str
    machine: str
    address: str
    role: str
    """active, backup or out, in the file."""
    state: str
    """HAProxy's own word: UP, DOWN, MAINT, DRAIN, no check; unknown where its socket does not answer."""
    weight: int
    last_check: str
    sessions: int


def show(host: Host, name: str, wanted: str | None = None) -> list[ServerStatus]:
    """Every server of the service's backends, in HAProxy's order."""
    lines = []
    for each in traffic.served(host, name, wanted):
        rows = each.balancer.rows()
        lines += [_status(each, server, rows.get(server.key)) for server in each.servers]
    return lines


def _status(found: Served, server: Server, row: Row | None) -> ServerStatus:
    return ServerStatus(
        haproxy=found.balancer.machine.address,
        backend=server.backend,
        server=server.name,
        machine=found.machines.get(server.key, ""),
        address=f"{server.host}:{server.port}",
        role="out" if server.disabled else "backup" if server.backup else "active",
        state=row.status if row else "unknown",
        weight=row.weight if row else 0,
        last_check=row.last_check if row else "",
        sessions=row.sessions if row else 0,
    )


# --- narrow ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Narrowed:
    """To whom the traffic goes now, and who stands by (or is out, where it is exclusive)."""

    service: str
    to: str
    others: list[str]
    exclusive: bool


def narrow(host: Host, name: str, *, to: str | None, exclusive: bool) -> Narrowed:
    """Only the server `to` takes traffic; the rest are its backups, or out. Raises with everything as it was."""
    found = traffic.served(host, name, to)
    target = _target(host, name, found, to)
    meant = [each for each in found if each.of(target)]
    steps = [_narrowing(each, target, exclusive=exclusive) for each in meant]
    others = list(dict.fromkeys(key for step in steps for key, role in step.roles if role in (BACKUP, OUT)))
    if not others:
        raise DevswapError(f"{name} has one server, {target}: there is nothing to narrow")
    _require_alone(host, name, steps)
    traffic.require_sound(each.balancer for each in meant)
    service, machine = f"{_PREFIX}{name}", meant[0].balancer.machine.address
    with claims.claim(host.journals.claim_path(service, machine), Holder(host.owner, "haproxy narrow"), busy=_refuse):
        _do(host, _journal_of(service, machine, name, target, exclusive, host), meant, steps)
    return Narrowed(name, target, others, exclusive)


def _do(host: Host, swap: Swap, meant: Sequence[Served], steps: Sequence[MoveTraffic]) -> None:
    watched = Watched(swap.machine, swap.service, "", (), (), None, None, balanced=tuple(map(traffic.balanced, meant)))
    facts = fingerprint.take(watched, host.machine, apart=traffic.without_others(host))
    with host.changing(seconds=None) as changed:
        _require_alone(host, swap.service, steps)
        left = host.journals.find(swap.service, swap.machine)
        if left is not None and not left.entries:
            left.remove()  # of one that was killed before it changed anything: the claim is ours
        known = replace(swap, watched=watched.as_json(), fingerprint=facts)
        journal = Journal.create(host.journals.folder(swap.service, swap.machine), known)
        try:
            transaction.apply(steps, journal, changed.cloud(journal))
            journal.describe(mode=MODE)
        except BaseException:
            with undisturbed(host), transaction.whole_or_said(journal):
                transaction.rollback(journal, changed.cloud(journal))
                journal.remove()
            raise


def _journal_of(service: str, machine: str, name: str, target: str, exclusive: bool, host: Host) -> Swap:  # noqa: FBT001
    return Swap(
        service=service,
        project=name,
        package="",
        machine=machine,
        unit="",
        owner=host.owner,
        since=host.now(),
        ref=target,
        commit="",
        subject="alone" if exclusive else "with backups",
        checkout="",
        mode="preparing",
        slot=0,
        watched={},
        deployment={},
    )


def _refuse(found: Holder) -> None:
    raise DevswapError(f"{found.owner.user} moves this traffic just now", hint="try again")


def _target(host: Host, name: str, found: Sequence[Served], to: str | None) -> str:
    """The machine, or the server's name where no machine of this host is behind it."""
    names = {each.called(server): server.name for each in found for server in each.servers}
    meant = [
        each for each, name in names.items() if to is None or traffic.matches(each, to) or traffic.matches(name, to)
    ]
    choices = [each for each in meant if to in (each, names[each])] or meant
    if to is None:
        swapped = [each for each in choices if host.journals.find(name, each) is not None]
        choices = swapped if len(swapped) == 1 else choices
    if len(choices) == 1:
        return choices[0]
    if to is not None:
        known = ", ".join(dict.fromkeys(server.name for each in found for server in each.servers))
        raise UsageError(
            f"{to} is {'several servers' if choices else 'no server'} of {name}", hint=f"they are: {known}"
        )
    number = host.choose(f"{name} has several servers", choices)
    if number is None:
        raise UsageError(
            f"{name} has {len(choices)} servers: {', '.join(choices)}", hint=f"say which: --to {choices[0]}"
        )
    return choices[number]


def _narrowing(found: Served, target: str, *, exclusive: bool) -> MoveTraffic:
    own = tuple(server.key for server in found.of(target))
    backends = {key.rpartition("/")[0] for key in own}
    others = [each for each in found.servers if each.backend in backends and each.key not in own and not each.disabled]
    roles = [*((key, ACTIVE) for key in own), *((each.key, OUT if exclusive else BACKUP) for each in others)]
    return traffic.step(found, target, roles, stops=True)


def _require_alone(host: Host, name: str, steps: Iterable[MoveTraffic]) -> None:
    """One narrowing of a backend at a time: what is a backup for one is what takes the traffic for the other."""
    for step in steps:
        for journal in traffic.moving(host, step.on, step.backends):
            swap = journal.swap
            undo = f"devswap haproxy widen {swap.project}" if swap.mode == MODE else f"devswap restore {journal.called}"
            raise DevswapError(f"the traffic of {name} is moved already, by {swap.service} to {swap.ref}", hint=undo)


def is_narrowed(host: Host, name: str) -> bool:
    """Whether `name` is narrowed; raises UsageError for what neither the catalogue nor a running HAProxy knows."""
    if locate.is_swapped(host, f"{_PREFIX}{name}"):
        return True
    if name not in {service.name for service in host.catalogue()}:
        try:
            traffic.served(host, name)
        except DevswapError:
            host.catalogue().get(name)  # which says what may have been meant
    return False


def find(host: Host, name: str, wanted: str | None = None) -> Journal:
    """The narrowing of `name`; raises DevswapError where there is none."""
    found = [
        journal
        for journal in host.journals.all()
        if journal.swap.service == f"{_PREFIX}{name}"
        and (
            wanted is None or traffic.matches(journal.swap.machine, wanted) or traffic.matches(journal.swap.ref, wanted)
        )
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(journal.swap.machine for journal in found)
        raise UsageError(f"{name} is narrowed in {names}", hint=f"say which: --machine {found[0].swap.machine}")
    raise DevswapError(f"{name} is not narrowed", hint=f"devswap haproxy show {name}")


def state(host: Host, journal: Journal) -> tuple[str, bool, str]:
    """(state, whether the traffic goes where it shall, why) of a narrowing, asked of HAProxy."""
    steps = [step for entry in journal.entries if isinstance(step := from_json(entry.step), MoveTraffic)]
    if journal.swap.mode != MODE or not steps:
        again = f"devswap restore {journal.called}"
        return "interrupted", False, f"it was not brought to its end; {again} puts it back"
    for step in steps:
        balancer = balancers.at(host.machine(step.on), step.sources)
        if balancer is None:
            return "stopped", False, f"HAProxy does not run in {step.on}"
        rows = balancer.rows()
        for key, role in step.roles:
            row = rows.get(key)
            if row is None:
                return "unknown", False, f"HAProxy in {step.on} does not say how {key} is"
            if role == ACTIVE and not row.status.startswith(("UP", "no check")):
                return MODE, False, f"{key} is {row.status}: its backups take the traffic"
            if role == BACKUP and not row.is_backup:
                return "widened", False, f"{key} is no backup any more; devswap restore {journal.called} ends it"
    return MODE, True, f"the traffic goes to {journal.swap.ref}, {journal.swap.subject}"
