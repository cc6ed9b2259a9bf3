"""HAProxy of a simulated machine: what it has loaded, what its socket answers, and what a reload forgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from devswap import haproxy

MASTER = 50
_WORKERS = (51, 52)
_ENVIRONMENT = (("PATH", "/usr/bin"), ("HAPROXY_MWORKER_REEXEC", "1"))
_FORCED_MAINTENANCE, _CONFIGURED, _FORCED_DRAIN = 1, 4, 8
_STATES = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_port"
_STATISTICS = "pxname,svname,qcur,scur,status,weight,bck,check_status,last_chk,srv_icur"


def looked_up(hosts: str, name: str) -> str:
    """In a text like that of /etc/hosts; the name itself where it is not there."""
    return next((line.split()[0] for line in hosts.splitlines() if name in line.split()[1:]), name)


@dataclass
class Loaded:
    """One server as the process has it."""

    address: str
    port: int
    backup: bool
    admin: int = 0
    up: bool = True
    weight: int = 1

    @property
    def usable(self) -> bool:
        return self.up and not self.admin

    @property
    def status(self) -> str:
        return "MAINT" if self.admin & _FORCED_MAINTENANCE else "DRAIN" if self.admin else "UP" if self.up else "DOWN"


@dataclass
class Haproxy:
    """`argv` is how it was started. Its master is always process 50, as nothing depends on the number."""

    argv: tuple[str, ...]
    unit: str = "haproxy.service"
    servers: dict[str, Loaded] = field(default_factory=dict)
    admin: bool = True
    socket: str = ""
    worker: int = _WORKERS[0]
    environment: Mapping[str, str] = field(default_factory=lambda: {"SERVICE": "heat"})

    @property
    def sources(self) -> list[str]:
        return [word for before, word in pairwise(self.argv) if before == "-f"]

    def load(self, read: Callable[[str], str | None]) -> None:
        """A new process has its files and nothing else: it believes in every server until it has checked it."""
        found = haproxy.read([(path, read(path) or "") for path in self.sources])
        hosts = read("/etc/hosts") or ""
        self.servers = {
            server.key: Loaded(
                looked_up(hosts, haproxy.plain_host(server.host, self.environment)),
                server.port or 0,
                server.backup,
                _FORCED_MAINTENANCE | _CONFIGURED if server.disabled else 0,
            )
            for server in found.servers
        }
        self.socket = found.socket.path if found.socket else ""
        self.admin = found.socket is not None and found.socket.admin
        self.worker = _WORKERS[self.worker == _WORKERS[0]]

    def serving(self, backend: str) -> list[str]:
        """Who gets its next request: the backups only when nobody else can."""
        usable = {k: s for k, s in self.servers.items() if k.startswith(f"{backend}/") and s.usable}
        return [key for key, server in usable.items() if not server.backup] or list(usable)[:1]

    def file(self, path: str) -> bytes | None:
        """What its processes show in /proc."""
        parts = path.split("/")
        if parts[1] != "proc" or len(parts) < 4 or parts[2] not in (str(MASTER), str(self.worker)):
            return None
        parent = 1 if parts[2] == str(MASTER) else MASTER
        shown = {
            "comm": "haproxy\n",
            "cmdline": "\0".join(self.argv) + "\0",
            "status": f"Name:\thaproxy\nPPid:\t{parent}\nNSpid:\t{parts[2]}\n",
            "environ": "".join(f"{name}={value}\0" for name, value in (*_ENVIRONMENT, *self.environment.items())),
            "cgroup": f"0::/system.slice/{self.unit}\n" if self.unit else "0::/\n",
        }
        return shown["/".join(parts[3:])].encode() if "/".join(parts[3:]) in shown else None

    # --- its socket -------------------------------------------------------------------------------------------------

    def answer(self, text: str) -> Iterator[str]:
        """Command by command, so that a kill can fall between them."""
        for command in text.strip().split(";"):
            yield self._answer(command)

    def changes(self, text: str) -> bool:
        return "set server" in text

    def _answer(self, command: str) -> str:
        if command == "show info":
            return f"Name: HAProxy\nPid: {self.worker}\n\n"
        if command == "show servers state":
            rows = [
                f"1 {' 1 '.join(key.split('/'))} {s.address} {2 if s.up else 0} {s.admin} {s.weight} 1 {s.port}"
                for key, s in self.servers.items()
            ]
            return "\n".join(["1", f"# {_STATES}", *rows]) + "\n\n"
        if command == "show stat":
            rows = [
                f"{','.join(key.split('/'))},0,0,{s.status},{s.weight},{int(s.backup)},L4OK,passed,0"
                for key, s in self.servers.items()
            ]
            return "\n".join([f"# {_STATISTICS}", *rows]) + "\n\n"
        words = command.split()
        assert words[:2] == ["set", "server"], f"the simulated HAProxy does not know {command!r}"
        if not self.admin:
            return "Permission denied\n\n"
        self._set(self.servers[words[2]], words[3], words[4])
        return "\n"

    def _set(self, server: Loaded, what: str, value: str) -> None:
        kept = server.admin & _CONFIGURED
        if what == "state":
            forced: Mapping[str, int] = {"ready": 0, "maint": _FORCED_MAINTENANCE, "drain": _FORCED_DRAIN}
            server.admin = kept | forced[value] if value != "ready" else 0
        elif what == "health":
            server.up = value == "up"
        else:
            server.weight = int(value)
