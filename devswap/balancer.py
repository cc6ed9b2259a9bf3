"""A running HAProxy: found by its process, asked through its socket, given another configuration."""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from devswap import haproxy, haproxy_process, haproxy_socket
from devswap.errors import CommandFailed, DevswapError
from devswap.haproxy import Configuration, Server, Socket
from devswap.haproxy_process import Process
from devswap.haproxy_socket import Row, ServerState
from devswap.machine import Machine, while_running

_ASK_SECONDS = 10.0
_LOAD_SECONDS = 20.0
_POLL = 0.1
# OpenStack-Ansible writes one file per service here and assembles them: HAProxy does not read them, Ansible does.
_FRAGMENTS = "conf.d"


@dataclass(frozen=True)
class Balancer:
    """One HAProxy: `sources` are the files and folders it was started with."""

    machine: Machine
    sources: tuple[str, ...]
    main: Process
    """The master, or the only process."""
    workers: frozenset[int]
    """All its processes that serve, old ones that finish their work included."""

    @property
    def is_master(self) -> bool:
        words = self.main.argv
        return "-W" in words or "-Ws" in words or "master-worker" in self.configuration().words_of_global

    def files(self) -> list[tuple[str, str]]:
        """(path, text) of its configuration, in its own order."""
        return [(path, self.machine.read_text(path) or "") for path in _expanded(self.machine, self.sources)]

    def configuration(self) -> Configuration:
        return self.understood(self.files())

    def understood(self, files: Iterable[tuple[str, str]]) -> Configuration:
        """Servers by their addresses: where the files have names, as HAProxy has resolved them."""
        found = haproxy.read(files)
        if all(haproxy.is_address(server.host) for server in found.servers):
            return found
        states = self.states()
        return replace(found, servers=tuple(self._resolved(server, states) for server in found.servers))

    def _resolved(self, server: Server, states: Mapping[str, ServerState]) -> Server:
        if haproxy.is_address(server.host):
            return server
        if server.key in states and haproxy.is_address(states[server.key].address):
            return replace(server, host=states[server.key].address)
        return replace(server, host=self._names.setdefault(server.host, self._looked_up(server.host)))

    @cached_property
    def _names(self) -> dict[str, str]:
        return {}

    def _looked_up(self, host: str) -> str:
        """As its machine resolves it; `host` itself where that does not."""
        if host in self._names:
            return self._names[host]
        environment = self.machine.read_text(f"/proc/{self.main.pid}/environ") or ""
        plain = haproxy.plain_host(host, dict(word.partition("=")[::2] for word in environment.split("\0")))
        if haproxy.is_address(plain) or plain.startswith(("/", "unix@", "abns@")):
            return plain
        said = self.machine.run(["getent", "ahosts", plain], ok=range(256)).stdout.split()
        return said[0] if said else plain

    def fragments(self) -> list[tuple[str, str]]:
        """(path, text) of what its files are assembled from."""
        read = set(_expanded(self.machine, self.sources))
        folders = dict.fromkeys(f"{path.rpartition('/')[0]}/{_FRAGMENTS}" for path in sorted(read))
        paths = [f"{folder}/{name}" for folder in folders for name in self.machine.names(folder)]
        paths = [path for path in paths if path not in read and "/." not in path and not self.machine.is_folder(path)]
        found = [(path, self.machine.read_text(path)) for path in paths]
        return [(path, text) for path, text in found if text is not None]

    @cached_property
    def socket(self) -> Socket | None:
        """Where it was started with one; read once."""
        return haproxy.read(self.files()).socket

    # --- its socket -------------------------------------------------------------------------------------------------

    def ask(self, *commands: str) -> str | None:
        """The answers of the process that serves now; None where it has no socket, or none that answers."""
        socket = self.socket
        if socket is None:
            return None
        try:
            return self.machine.converse(socket.path, ";".join(commands) + "\n", seconds=_ASK_SECONDS)
        except OSError:
            return None

    def states(self) -> dict[str, ServerState]:
        return haproxy_socket.states(self.ask(haproxy_socket.STATES) or "")

    def rows(self) -> dict[str, Row]:
        return haproxy_socket.statistics(self.ask(haproxy_socket.STATISTICS) or "")

    def tell(self, *commands: str) -> list[str]:
        """Change the running process; what it refused. Nothing is changed where its socket may only look."""
        socket = self.socket
        if not commands or socket is None or not socket.admin:
            return []
        return haproxy_socket.refusals(self.ask(*commands) or "")

    @property
    def can_be_told(self) -> bool:
        socket = self.socket
        return socket is not None and socket.admin and self.ask(haproxy_socket.INFO) is not None

    def connections(self, server: Server) -> int:
        """How many TCP connections to a server there are in HAProxy's network, whichever of its processes has them."""
        texts = [self.machine.read_text(f"/proc/{self.main.pid}/net/{name}") or "" for name in ("tcp", "tcp6")]
        return sum(established(text, server.host, server.port) for text in texts)

    # --- its configuration ------------------------------------------------------------------------------------------

    def complaint(self, changed: Mapping[str, str] | None = None) -> str | None:
        """What `haproxy -c` says against its files with `changed` in place of some; None if nothing.

        What is checked stays beside the files, to be put in their place.
        """
        staged = self.stage(changed or {})
        argv = [self.main.argv[0], "-c"]
        for path in _expanded(self.machine, self.sources):
            argv += ["-f", staged.get(path, path)]
        try:
            self._run_as_started(argv)
        except CommandFailed as error:
            return error.result.tail
        return None

    def stage(self, changed: Mapping[str, str]) -> dict[str, str]:
        """Write each text beside the files that HAProxy reads; (path, where it lies now)."""
        staged = {path: self._staged_path(path) for path in changed}
        for path, text in changed.items():
            self.machine.write_text(staged[path], text, like=path)
        return staged

    def put(self, changed: Mapping[str, str]) -> None:
        """Put what is staged in the place of the files, each atomically."""
        for path in changed:
            self.machine.rename(self._staged_path(path), _real(self.machine, path))

    def clear(self, paths: Iterable[str]) -> None:
        """Remove what a kill has left of `stage`."""
        for path in paths:
            staged = self._staged_path(path)
            folder, _, name = staged.rpartition("/")
            for left in (staged, f"{folder}/.{name}.devswap"):
                if self.machine.exists(left):
                    self.machine.remove(left)

    def _staged_path(self, path: str) -> str:
        """Not in a folder that is read or assembled as a whole, hidden files included."""
        folder, _, name = _real(self.machine, path).rpartition("/")
        if folder.endswith(f"/{_FRAGMENTS}"):
            folder, name = folder.rpartition("/")[0], f"{_FRAGMENTS}-{name}"
        return f"{folder}/.{name}.devswap"

    # --- reload -----------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Have the files loaded: what is under way ends in the old process, what is new begins in the new one.

        Returns when the new one serves; raises DevswapError if that does not happen.
        """
        before = self.workers
        argv = self.reload_argv()
        if argv[0] == "kill" or argv[0] == "systemctl":
            self.machine.run(argv)
        else:
            self._run_as_started(argv)
        deadline = time.monotonic() + _LOAD_SECONDS
        while not self._is_new(before):
            if time.monotonic() > deadline:
                raise DevswapError(
                    f"HAProxy in {self.machine.name} has not loaded its configuration within {_LOAD_SECONDS:.0f} s",
                    hint=f"its log in {self.machine.name} says why",
                )
            time.sleep(_POLL)

    def reload_argv(self) -> list[str]:
        """systemd's own way; else a signal to the master; else another process that takes over."""
        if self.main.unit and self._unit_reloads(self.main.unit):
            return ["systemctl", "reload", "--", self.main.unit]
        if self.is_master:
            return ["kill", "-USR2", str(self.main.pid)]
        if "-D" not in self.main.argv and "daemon" not in self.configuration().words_of_global:
            raise DevswapError(
                f"cannot reload HAProxy in {self.machine.name}: it has no unit and no master, and is no daemon",
                hint="start it with -W",
            )
        socket = self.socket
        inherit = ["-x", socket.path] if socket is not None and socket.passes_listeners else []
        return [*haproxy_process.without_takeover(self.main.argv), *inherit, "-sf", *map(str, sorted(self.workers))]

    def _unit_reloads(self, unit: str) -> bool:
        said = self.machine.run(["systemctl", "show", "--property=MainPID,CanReload", "--", unit]).stdout.split()
        return f"MainPID={self.main.pid}" in said and "CanReload=yes" in said

    def _is_new(self, before: Collection[int]) -> bool:
        socket = self.socket
        if socket is not None:
            answered = haproxy_socket.worker(self.ask(haproxy_socket.INFO) or "")
            return answered is not None and answered not in before
        now = at(self.machine, self.sources)
        return now is not None and bool(now.workers - set(before))

    def _run_as_started(self, argv: Sequence[str]) -> None:
        """In its folder, with what it and its configuration read of its environment; never on a command line."""
        read = self.machine.read_text(f"/proc/{self.main.pid}/environ") or ""
        variables = self.configuration().variables
        known = dict(word.split("=", 1) for word in read.split("\0") if _is_read(word.partition("=")[0], variables))
        if not known:
            self.machine.run(argv, cwd=self.main.folder)
            return
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(known.items()))
        script = 'eval "$(cat)"; exec "$@"'
        self.machine.run(["sh", "-c", script, "sh", *argv], cwd=self.main.folder, input=exports)


def _is_read(name: str, variables: Collection[str]) -> bool:
    """What HAPROXY_… says of a master that was reloaded would make another process take itself for that one."""
    return name.startswith("LD_") or (name in variables and not name.startswith("HAPROXY_"))


def find(machines: Iterable[Machine]) -> Iterator[Balancer]:
    """Every HAProxy that runs in one of `machines`."""
    for machine in machines:
        yield from while_running(machine, lambda machine: list(_in(machine))) or ()


def at(machine: Machine, sources: tuple[str, ...]) -> Balancer | None:
    """The HAProxy with these sources, if it runs."""
    return next((each for each in _in(machine) if each.sources == sources), None)


def _in(machine: Machine) -> Iterator[Balancer]:
    found = {process.pid: process for process in haproxy_process.running(machine)}
    families: dict[tuple[str, ...], list[Process]] = {}
    for process in found.values():
        # A worker is in its chroot: relative paths are its master's.
        sources = haproxy_process.sources(process, found.get(process.parent, process).folder)
        if sources:
            families.setdefault(sources, []).append(process)
    for sources, processes in families.items():
        pids = {process.pid for process in processes}
        masters = {process.parent for process in processes} & pids
        mains = [process for process in processes if process.pid in masters] or processes
        yield Balancer(machine, sources, max(mains, key=lambda each: each.started), frozenset(pids - masters))


def _expanded(machine: Machine, sources: Sequence[str]) -> list[str]:
    """The files: of a folder, what HAProxy takes of it, in its order (management.txt, -f)."""
    found = []
    for source in sources:
        if not machine.is_folder(source):
            found.append(source)
            continue
        names = [name for name in machine.names(source) if name.endswith(".cfg") and not name.startswith(".")]
        found += [path for name in names if not machine.is_folder(path := f"{source}/{name}")]
    return found


def _real(machine: Machine, path: str) -> str:
    """Where the file itself lies: a link to it stays one."""
    for _ in range(10):
        target = machine.link_target(path)
        if target is None:
            break
        path = haproxy_process.absolute(target, path.rpartition("/")[0])
    return path


def established(table: str, host: str, port: int | None) -> int:
    """In a table of /proc/net/tcp: the kernel writes addresses as hexadecimal words in its own byte order."""
    octets = host.split(".")
    if port is None or len(octets) != 4 or not all(part.isdigit() for part in octets):
        return 0
    wanted = "".join(f"{int(part):02X}" for part in reversed(octets)) + f":{port:04X}"
    rows = [line.split() for line in table.splitlines()[1:]]
    return sum(row[2].endswith(wanted) and row[3] == "01" for row in rows if len(row) > 3)
