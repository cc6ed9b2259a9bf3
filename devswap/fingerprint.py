"""The facts about production that must be the same before a swap and after it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

from devswap import balancer as balancers
from devswap import database_source, development, followers, meanwhile, ports, probe, sqlite_files, systemd
from devswap.database_source import Source
from devswap.errors import MachineGone
from devswap.machine import Machine
from devswap.meanwhile import Beside
from devswap.probe import Probe
from devswap.probe_web import WebProbe
from devswap.sqlite_files import SqliteFiles

PORTS = "listening ports"
HAPROXY = "haproxy "
"""How the facts about traffic begin."""
PEER, ASLEEP = "peer ", "stopped or gone with its machine"
"""How those about peers begin, and what one is that nobody can ask."""
# Keys that production itself rotates (keystone): they change without anybody touching anything.
_ROTATING = ("fernet-keys", "credential-keys", "__pycache__")


_FRONT_SECONDS = 10.0


@dataclass(frozen=True)
class Balanced:
    """The backends of one HAProxy that send requests to the service."""

    on: str
    sources: tuple[str, ...]
    backends: tuple[str, ...]


@dataclass(frozen=True)
class Watched:
    """What of production is looked at; kept in the journal, so that `restore` needs nothing else."""

    on: str
    service: str
    unit: str
    folders: tuple[str, ...]
    """Its configuration, file by file."""
    site_folders: tuple[str, ...]
    """Its packages, by the names of their metadata."""
    database: Source | None
    probe: Probe | None
    front: str = ""
    """The unit of the web server before it."""
    front_addresses: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    """What else it is configured by, outside of its folders: uWSGI's ini files, a web server's sites."""
    balanced: tuple[Balanced, ...] = ()
    peers: tuple[tuple[str, str], ...] = ()
    """(machine, unit) of what is stopped while development serves."""
    others: tuple[Source, ...] = ()
    """The project's other databases."""
    sqlite: SqliteFiles | None = None

    @property
    def front_probe(self) -> Probe | None:
        """How the web server before it is asked for the very same."""
        asked = self.probe
        return replace(asked, addresses=self.front_addresses) if self.front and isinstance(asked, WebProbe) else None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "probe": self.probe.as_json() if self.probe else None}


def watched_from_json(read: Mapping[str, Any]) -> Watched:
    database, asked = read["database"], read["probe"]
    return Watched(
        on=read["on"],
        service=read["service"],
        unit=read["unit"],
        folders=tuple(read["folders"]),
        site_folders=tuple(read["site_folders"]),
        database=database_source.from_json(database) if database else None,
        probe=probe.from_json(asked) if asked else None,
        front=read.get("front", ""),
        front_addresses=tuple(read.get("front_addresses", ())),
        files=tuple(read.get("files", ())),
        balanced=tuple(
            Balanced(each["on"], tuple(each["sources"]), tuple(each["backends"])) for each in read.get("balanced", ())
        ),
        peers=tuple((address, unit) for address, unit in read.get("peers", ())),
        others=tuple(map(database_source.from_json, read.get("others", ()))),
        sqlite=sqlite_files.from_json(sqlite) if (sqlite := read.get("sqlite")) else None,
    )


def take(
    watched: Watched,
    machine: Callable[[str], Machine],
    *,
    seconds: float = 0.0,
    like: Mapping[str, str] = MappingProxyType({}),
    answered: Callable[[], None] = lambda: None,
    beside: Beside = meanwhile.afterwards,
    apart: Callable[[str, str, str], str] = lambda on, path, text: text,  # noqa: ARG005
) -> dict[str, str]:
    """Every fact by name; waits at most `seconds` for the service to serve, and to listen as it did in `like`.

    `answered` is called as soon as the service serves, to itself and through the web server before it. `beside` says
    how the databases are looked at while the machine is. `apart` makes of the text of a file of HAProxy's (its machine,
    its path, the text) what it would be without other swaps.
    """
    here = machine(watched.on)
    databases = beside(lambda: dict(_databases(machine, watched, like)))
    facts = dict(_serving(watched, here, seconds))
    if facts and "no" not in facts.values():
        answered()
    # Only then: a service that has just been started renames its process on the way (setproctitle).
    if watched.unit:  # a narrowing has none
        facts.update(_unit(here, watched))
        facts[PORTS] = _ports(here, watched.unit, like.get(PORTS), seconds)
    for folder in watched.folders:
        facts.update(_files(here, folder))
    for path in watched.files:
        facts[f"file {path}"] = f"{here.link_target(path) or ''} {_content(here, path)}".strip()
    for folder in watched.site_folders:
        names = [name for name in here.names(folder) if name.endswith(("-info", ".pth", ".egg-link"))]
        facts[f"packages in {folder}"] = _hash("\n".join(names).encode())
    facts.update(databases())
    for address, unit in watched.peers:
        facts[f"{PEER}{address} {unit}"] = _peer(machine, address, unit)
    for each in watched.balanced:
        facts.update(_traffic(machine, each, apart))
    return facts


def _serving(watched: Watched, machine: Machine, seconds: float) -> Iterator[tuple[str, str]]:
    """By itself, and through the web server before it."""
    if not watched.probe or not systemd.state(machine, watched.unit).is_active:
        return
    serves = probe.ask(watched.probe, machine, seconds=seconds).serving
    yield "serving", "yes" if serves else "no"
    if watched.front_probe and serves:
        through = probe.ask(watched.front_probe, machine, seconds=min(seconds, _FRONT_SECONDS))
        yield f"serving through {watched.front}", "yes" if through.serving else "no"


def _databases(at: Callable[[str], Machine], watched: Watched, like: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if watched.database:
        yield from _database(at, watched.database, "database")
    for source in watched.others:
        yield from _database(at, source, f"database {source.name} at {source.address}")
    if watched.sqlite:
        name = f"database files {' '.join(watched.sqlite.patterns)} in {watched.sqlite.folder}"
        yield name, _schemas(watched.sqlite.look(at(watched.on)), like.get(name))


def _database(at: Callable[[str], Machine], source: Source, name: str) -> Iterator[tuple[str, str]]:
    database = source.open(at)
    yield f"{name} revision", ", ".join(database.revisions()) or "none"
    yield f"{name} schema", database.schema()


def _schemas(found: Mapping[str, Mapping[str, Any]], before: str | None) -> str:
    """All that there are: files come with every container of objects, and go. One less is as it was `before`."""
    now = {str(each["columns"])[:16] for each in found.values()}
    if before is not None and now <= set(before.split(", ")):
        return before
    return ", ".join(sorted(now)) or "none"


def _peer(at: Callable[[str], Machine], address: str, unit: str) -> str:
    try:
        machine = at(address)
    except MachineGone:
        return ASLEEP
    return systemd.state(machine, unit).active if machine.is_running() else ASLEEP


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """One line for each fact that is not as it was."""
    return [
        f"{name}: was {before.get(name, 'absent')}, is {after.get(name, 'absent')}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def _unit(machine: Machine, watched: Watched) -> Iterator[tuple[str, str]]:
    found = systemd.state(machine, watched.unit)
    files = systemd.show(machine, watched.unit, "FragmentPath", "DropInPaths")
    # What makes it wait for another swap's service comes and goes with that swap.
    drop_ins = [path for path in files["DropInPaths"].split() if path != development.patient_path(watched.unit)]
    paths = [files["FragmentPath"], *drop_ins]
    command = machine.read_text(f"/proc/{found.main_pid}/cmdline") if found.main_pid else None
    yield "unit state", found.active
    yield "unit enablement", found.enabled
    yield "unit command", (command or "none").rstrip("\0").replace("\0", " ")
    # An upgrade leaves what runs with a file that is deleted; the one of its name is what starts the next time.
    program = machine.link_target(f"/proc/{found.main_pid}/exe") if found.main_pid else None
    yield "unit executable", (program or "none").removesuffix(" (deleted)")
    yield "unit files", " ".join(paths)
    for path in filter(None, paths):
        yield f"unit file {path}", _hash(machine.read_bytes(path) or b"")
    for name, state in followers.of(machine, watched.unit).items():
        if state == "active":  # one that is not may be started by anybody
            yield followers.fact(name), state
    mounted = machine.mounted(development.folder(watched.service))
    yield "mounts of devswap", " ".join(mounted) or "none"


def _ports(machine: Machine, unit: str, wanted: str | None, seconds: float) -> str:
    """A unit is active before its program listens: systemd does not wait for that. None is nothing to wait for."""
    deadline = time.monotonic() + seconds
    while True:
        found = ", ".join(ports.listening(machine, unit)) or "none"
        if wanted in (None, "none", found) or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def _traffic(
    at: Callable[[str], Machine], watched: Balanced, apart: Callable[[str, str, str], str]
) -> Iterator[tuple[str, str]]:
    """HAProxy's files, and its servers as the files and the running process have them; nothing that counts or ages."""
    try:
        machine = at(watched.on)
    except MachineGone:  # its servers went with it: nobody is answerable for them any more
        return
    balancer = balancers.at(machine, watched.sources)
    if balancer is None:
        yield f"{HAPROXY}in {machine.name}", "does not run"
        return
    for path, text in (*balancer.files(), *balancer.fragments()):
        yield f"{HAPROXY}file {path}", _hash(apart(watched.on, path, text).encode())
    rows, states = balancer.rows(), balancer.states()
    for server in balancer.configuration().of_backends(watched.backends):
        row, state = rows.get(server.key), states.get(server.key)
        said = f"{'backup' if server.backup else 'active'}{', disabled' if server.disabled else ''}"
        loaded = "" if row is None else f"; loaded as {'backup' if row.is_backup else 'active'}"
        ordered = "" if state is None else f"; {state.admin}; weight {state.weight}"
        yield f"{HAPROXY}{server.key}", f"{said}{loaded}{ordered}"


def _files(machine: Machine, folder: str) -> Iterator[tuple[str, str]]:
    """A link within is its target's name: what it leads to is found by itself, or lies elsewhere."""
    for name in machine.names(folder):
        path = f"{folder}/{name}"
        if name in _ROTATING:
            continue
        target = machine.link_target(path)
        if target is not None:
            yield f"file {path}", f"link to {target}"
        elif machine.is_folder(path):
            yield from _files(machine, path)
        else:
            yield f"file {path}", _content(machine, path)


def _content(machine: Machine, path: str) -> str:
    """Never fails: what cannot be read before cannot be read after either, and that is a fact as well."""
    try:
        content = machine.read_bytes(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"
    return "no plain file" if content is None else _hash(content)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
