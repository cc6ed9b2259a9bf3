"""Whom HAProxy sends a service's requests to, and how a swap moves them: away before the stop, to what answers then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from devswap import balancer as balancers
from devswap import haproxy_edits, peers, transaction
from devswap.balancer import Balancer
from devswap.deployment import Deployment
from devswap.discovery import units
from devswap.errors import DevswapError, UsageError
from devswap.fingerprint import HAPROXY, Balanced, Watched, watched_from_json
from devswap.haproxy import Server
from devswap.host import Host
from devswap.journal import Journal
from devswap.machine import Machine, name_of
from devswap.steps.haproxy import ACTIVE, BACKUP, IN, OUT, MoveTraffic, edits_made
from devswap.steps.step import from_json


@dataclass(frozen=True)
class Served:
    """The backends of one HAProxy that have a server of the service."""

    balancer: Balancer
    servers: tuple[Server, ...]
    machines: Mapping[str, str]
    """The address of the machine that a server is, by its key; not all of them are machines of this host."""

    @property
    def backends(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(server.backend for server in self.servers))

    def of(self, machine: str) -> list[Server]:
        """The servers that are a machine, or have this name."""
        return [server for server in self.servers if machine in (self.machines.get(server.key), server.name)]

    def called(self, server: Server) -> str:
        """Its machine; its own name where that says nothing, or not which of several it is."""
        machine = self.machines.get(server.key)
        twins = [
            each for each in self.servers if each.backend == server.backend and self.machines.get(each.key) == machine
        ]
        return machine if machine is not None and len(twins) == 1 else server.name


def served(host: Host, name: str, wanted: str | None = None) -> list[Served]:
    """Where HAProxy serves `name`: a service of the catalogue, or a backend by its own name.

    `wanted` is HAProxy's machine, or one of the servers. Raises DevswapError where no running HAProxy has it.
    """
    machines = host.running()
    known = {service.name: service for service in host.catalogue()}
    if name in known and not known[name].ports:
        raise DevswapError(
            f"HAProxy has nothing to do with {name}: it takes its work from a queue"
            if known[name].queue
            else f"which requests {name} takes is not in the catalogue"
        )
    has_it = [each.machine for each in units.find([known[name]], machines)] if name in known else machines
    found, places = list[Served](), _places(has_it)
    for balancer in balancers.find(machines):
        if name in known:
            found += _by_address(balancer, places, known[name].ports)
            continue
        servers = balancer.configuration().of_backends([name, f"{name}-back", f"{name}_back"])
        found += [Served(balancer, tuple(servers), _on(balancer, servers, places))] if servers else []
    meant = [each for each in found if wanted is None or _is_meant(each, wanted)]
    if meant:
        return meant
    if found:
        names = ", ".join(dict.fromkeys(server.name for each in found for server in each.servers))
        raise UsageError(f"{wanted} is no server of {name}", hint=f"they are: {names}")
    raise DevswapError(f"no HAProxy that runs here has a server of {name}")


def _by_address(balancer: Balancer, places: Mapping[str, str], ports: Collection[int]) -> list[Served]:
    """`places` are machines by their addresses."""
    servers = balancer.configuration().servers
    own = _on(balancer, [server for server in servers if server.port in ports], places)
    backends = {key.rpartition("/")[0] for key in own}
    return [Served(balancer, tuple(each for each in servers if each.backend in backends), own)] if own else []


def _places(machines: Iterable[Machine]) -> dict[str, str]:
    return {ip: machine.address for machine in machines for ip in machine.addresses()}


def _on(balancer: Balancer, servers: Sequence[Server], places: Mapping[str, str]) -> dict[str, str]:
    """The machine that each server is, as far as it is among `places`; a loopback is HAProxy's own machine."""
    here = {balancer.machine.address} & set(places.values())
    found = {}
    for server in servers:
        machine = next(iter(here), None) if server.host.startswith("127.") else places.get(server.host)
        if machine is not None:
            found[server.key] = machine
    return found


def _is_meant(found: Served, wanted: str) -> bool:
    names = [found.balancer.machine.address, *found.machines.values(), *(server.name for server in found.servers)]
    return any(matches(name, wanted) for name in names)


def matches(name: str, wanted: str) -> bool:
    """An address, a name, or the beginning of a name."""
    return wanted == name or name_of(name).startswith(wanted.removeprefix("lxc:"))


def balanced(found: Served) -> Balanced:
    return Balanced(found.balancer.machine.address, found.balancer.sources, found.backends)


# --- steps ----------------------------------------------------------------------------------------------------------


def step(
    found: Served, target: str, roles: Iterable[tuple[str, str]], *, stops: bool, patient: tuple[str, ...] = ()
) -> MoveTraffic:
    own = tuple(server.key for server in found.of(target))
    sections = {server.section for server in found.servers}
    files = [path for path, text in (*found.balancer.files(), *found.balancer.fragments()) if _has(text, sections)]
    return MoveTraffic(
        on=found.balancer.machine.address,
        sources=found.balancer.sources,
        roles=tuple(roles),
        patient=patient,
        of=target if ":" in target else "",
        own=own,
        stops=stops,
        paths=tuple(files),
    )


def _has(text: str, sections: Iterable[str]) -> bool:
    return any(" ".join(line.split()[:2]) in sections for line in text.split("\n"))


def movers(host: Host, watched: Watched, *, but: Journal | None = None) -> list[Journal]:
    """The other swaps that move what a fingerprint would look at: how it was before is theirs to compare."""
    return [journal for each in watched.balanced for journal in moving(host, each.on, each.backends, but=but)]


def before_others(facts: dict[str, str], others: Sequence[Journal]) -> dict[str, str]:
    """`facts`, with those of HAProxy as they were before any of the swaps that move its traffic now.

    The last of all that leaves compares with that. Where one of them has not seen it, nobody can.
    """
    seen = dict[str, str]()
    for journal in sorted(others, key=lambda each: each.swap.since, reverse=True):
        theirs = {name: value for name, value in journal.swap.fingerprint.items() if name.startswith(HAPROXY)}
        if not theirs:
            return {name: value for name, value in facts.items() if not name.startswith(HAPROXY)}
        seen |= theirs
    return {name: seen.get(name, value) for name, value in facts.items()}


def without_others(host: Host, *, but: Journal | None = None) -> Callable[[str, str, str], str]:
    """(HAProxy's machine, path, text) → the text as if other swaps had never moved anything there.

    Most of them move other backends than ours: their lines are theirs to compare.
    """
    journals = [each for each in host.journals.all() if but is None or each.folder != but.folder]

    def text_without(on: str, path: str, text: str) -> str:
        for journal in journals:
            with suppress(KeyError, TypeError):  # its own restore says so
                theirs = [edit for edit in edits_made(journal.entries, on) if edit.path == path]
                text = haproxy_edits.without(text, theirs, ())
        return text

    return text_without


def require_sound(found: Iterable[Balancer]) -> None:
    """Raise where HAProxy's files have an error already: they could not be loaded, nor could what puts them back."""
    for balancer in found:
        complaint = balancer.complaint()
        if complaint is not None:
            where = balancer.machine.name
            raise DevswapError(
                f"cannot move traffic: HAProxy's files in {where} have an error, which is not devswap's\n{complaint}",
                hint="mend it first; haproxy -c checks it",
            )


def moving(host: Host, on: str, backends: Iterable[str], *, but: Journal | None = None) -> list[Journal]:
    """The other swaps that move the traffic of one of these backends."""
    wanted = set(backends)
    return [
        journal
        for journal in host.journals.all()
        if (but is None or journal.folder != but.folder)
        and any(where == on and wanted & set(moved) for where, moved in _moved(journal))
    ]


def _moved(journal: Journal) -> list[tuple[str, Sequence[str]]]:
    """(HAProxy's machine, backends); where all is undone but was not as it was, that is still for it to compare.

    Of a swap whose steps are not to be read, all that its fingerprint looks at: it is in the way of no other.
    """
    moves = [entry.step for entry in journal.entries if entry.step.get("kind") == MoveTraffic.kind]
    found, is_read = list[tuple[str, Sequence[str]]](), True
    try:
        found += [(step.on, step.backends) for step in map(from_json, moves) if isinstance(step, MoveTraffic)]
    except (TypeError, ValueError, AttributeError):
        is_read = False
    if not is_read or (journal.swap.mode == "restoring" and MoveTraffic.kind in journal.swap.touched):
        with suppress(TypeError, ValueError, KeyError, AttributeError):
            found += [(each.on, each.backends) for each in watched_from_json(journal.swap.watched).balanced]
    return found


# --- of a swap ------------------------------------------------------------------------------------------------------


def of_deployment(host: Host, deployment: Deployment) -> list[Served]:
    """Where HAProxy serves a service on its machine; none for one that takes no requests."""
    if not deployment.service.ports:
        return []
    places, ports = _places([host.machine(deployment.machine.address)]), _ports(deployment)
    return [each for balancer in balancers.find(host.running()) for each in _by_address(balancer, places, ports)]


def _ports(deployment: Deployment) -> set[int]:
    """The usual ones, and those that it has here; what a web server listens on may be for others as well."""
    usual = set(deployment.service.ports)
    if deployment.hosted or deployment.front:
        return usual
    own = [address.rpartition(":")[2] for address in deployment.addresses if address.startswith("http")]
    return usual | {int(port) for port in own if port.isdigit()}


def leaving(found: Sequence[Served], machine: str) -> list[MoveTraffic]:
    """Before production stops: its servers are drained and taken out."""
    return [step(each, machine, ((s.key, OUT) for s in each.of(machine)), stops=True) for each in found]


def coming(out: MoveTraffic, balancer: Balancer, *, narrow: bool, patient: bool) -> MoveTraffic:
    """Once development answers: what `out` had taken out is put in, and its peers become backups."""
    servers = balancer.configuration().of_backends(out.backends)
    peers = [server for server in servers if server.key not in out.own and not server.disabled] if narrow else []
    return MoveTraffic(
        on=out.on,
        sources=out.sources,
        roles=(*((key, ACTIVE if peers else IN) for key in out.own), *((peer.key, BACKUP) for peer in peers)),
        patient=out.own if patient else (),
        of=out.of,
        own=out.own,
        stops=False,
        paths=out.paths,
    )


def _balancer(host: Host, step: MoveTraffic) -> Balancer | None:
    machine = host.machine(step.on)
    return balancers.at(machine, step.sources) if machine.is_running() else None


def planned(outs: Sequence[MoveTraffic], host: Host, *, narrow: bool) -> list[MoveTraffic]:
    """What follows `outs` once development answers, as far as it can be told now."""
    running = [(out, _balancer(host, out)) for out in outs]
    return [coming(out, found, narrow=narrow, patient=False) for out, found in running if found is not None]


def outs(journal: Journal) -> list[MoveTraffic]:
    """The steps of a swap that took its servers out."""
    steps = [from_json(entry.step) for entry in journal.entries]
    return [step for step in steps if isinstance(step, MoveTraffic) and step.stops]


def is_coming(step: object) -> bool:
    """Whether it is of those that give development its work, and that are undone before it stops."""
    return peers.is_held(step) or (isinstance(step, MoveTraffic) and not step.stops)


def put_in(host: Host, journal: Journal, *, patient: bool) -> None:
    """Development answers: it gets the traffic. Its peers become its backups unless the swap says otherwise.

    The caller holds the lock for changes, here and in `take_out`.
    """
    done = [step for entry in journal.entries if is_coming(step := from_json(entry.step))]
    # it was started again on a save, and kept its work; what somebody else has kept from leaving, too
    for step in done:
        if isinstance(step, MoveTraffic) and _balancer(host, step) is not None:
            step.do(host.cloud(journal))
    if done:
        return
    for out in outs(journal):
        balancer = _balancer(host, out)
        if balancer is None:
            host.say(f"HAProxy does not run in {out.on}: nobody gets traffic through it")
            continue
        others = moving(host, out.on, out.backends, but=journal)
        for other in others:
            host.say(f"{other.swap.service} moves the same traffic: who is a backup or out stays so")
        narrow = bool(journal.swap.traffic.get("narrow", True)) and not others
        transaction.apply([coming(out, balancer, narrow=narrow, patient=patient)], journal, host.cloud(journal))
    peers.hold(host, journal)


def rest(host: Host, journal: Journal) -> None:
    """Development is started anew where it is, by a web server: others that can take its requests do so meanwhile.

    A graceful reload of Apache drops none of its own, but under mod_wsgi some of those that it has accepted find the
    processes of the application gone, and are answered with 503.
    """
    done = [step for entry in journal.entries if is_coming(step := from_json(entry.step))]
    moves = [step for step in done if isinstance(step, MoveTraffic) and _balancer(host, step) is not None]
    if not all(step.rest(host.cloud(journal)) for step in moves):
        take_out(host, journal)


def take_out(host: Host, journal: Journal) -> None:
    """Development is about to stop, or has stopped: its peers get the traffic."""
    if any(is_coming(from_json(entry.step)) for entry in journal.entries):
        transaction.withdraw(journal, host.cloud(journal), is_coming)
