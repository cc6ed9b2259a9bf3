"""A whole simulated cloud: heat in three containers and its database in a fourth, with a host that devswap runs on."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from devswap.backed_machine import BackedMachine
from devswap.backends.local import Local
from devswap.errors import DevswapError, MachineGone
from devswap.hooks import Hook
from devswap.host import Host
from devswap.invoker import UserHome
from devswap.journal import Owner
from devswap.machine import Machine
from devswap.overlay import Overlay, Request
from devswap.service import Catalogue, Sqlite, load_catalogue
from devswap.settings import Settings
from devswap.slot import Mount, Slot
from devswap.source import Checkout
from devswap.systemd import run_in_unit
from devswap.wish import Makers
from tests.simulated import images, sqlite
from tests.simulated.calls import Calls
from tests.simulated.files import Files
from tests.simulated.haproxy import Haproxy
from tests.simulated.machine import MachineState, SimulatedMachine
from tests.simulated.mariadb import Schema, SqlError
from tests.simulated.programs import MIGRATIONS, Programs
from tests.simulated.snapshot import Snapshot, World

NOW = "2026-01-01T00:00:00.000+00:00"
# Once for all tests, since thousands of commands read it.
_catalogue = cache(load_catalogue)


@cache
def _catalogue_with_files() -> Catalogue:
    files = Sqlite("DEFAULT", "devices", sqlite.FOLDER, (sqlite.PATTERN,))
    return Catalogue(replace(each, sqlite=files) if each.name == "heat-engine" else each for each in load_catalogue())


class SimulatedCloud:
    """`folder` is an empty folder of the host, best in memory: state, checkouts and overlays live there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = Calls()
        self.programs = Programs(self)
        self.log: dict[tuple[str, str], list[str]] = {}
        self.terminals: dict[str, int] = {}
        self.said: list[str] = []
        self.hooks: list[Hook] = []
        self.hooks_run: list[dict[str, Any]] = []
        """What each hook that was run in a machine was told."""
        self.ends_by_itself = False
        """Whether a foreground run ends without anybody's Ctrl-C."""
        self.tested: list[tuple[str, ...]] = []
        """The runs of unit tests: the checkout on the host, and what was run."""
        self.eventlet = False
        """Whether what is debugged replaces threads, which debugpy makes way for."""
        self.deaf = False
        """Whether programs of checkouts do not read their options from the environment, as before oslo.config did."""
        self.options: dict[str, object] | None = None
        """What oslo.config's lists say, where there are any: see known_options.py."""
        self.in_files = False
        """Whether heat-engine has databases in files, which a checkout of it alters when it is started."""
        self._looks: dict[str, int] = {}
        """How often it was looked whether a unit has ended."""
        self.starting = 0
        """How many questions heat-engine does not answer yet, since it has just been started."""
        self.in_tls: set[str] = set()
        """ADDRESS:PORT of those servers that speak nothing but TLS."""
        self.world = World()
        for name, files in images.machines().items():
            self.world.machines[name] = MachineState(files)
            SimulatedMachine(self, name).boot()
        self.world.servers[images.DATABASE_HOST] = images.server()

    def boot(self, name: str, files: Files) -> None:
        """Let there be a machine with these files."""
        self.world.machines[name] = MachineState(files)
        self.machine(name).boot()

    def add_peer(self) -> SimulatedMachine:
        """A second machine with heat-engine, which consumes the same queue."""
        self.world.machines[images.HEAT_PEER] = MachineState(images.peer())
        self.machine(images.HEAT_PEER).boot()
        return self.machine(images.HEAT_PEER)

    def add_api(self) -> None:
        """Let the second server of heat-api be a machine of this host, too."""
        self.world.machines[images.API_PEER] = MachineState(images.api_peer())
        self.machine(images.API_PEER).boot()

    def with_keystone(self) -> None:
        """Let there be a machine in which Apache runs keystone."""
        self.world.machines[images.KEYSTONE] = MachineState(images.keystone())
        self.machine(images.KEYSTONE).boot()

    def put_front(self) -> None:
        """Let a web server stand before heat-api-cfn."""
        machine = self.machine(images.HEAT_CFN)
        images.put_front(machine.files)
        machine.boot()

    def balance(self, *, level: str = "admin") -> Haproxy:
        """Let HAProxy send heat-api its requests, and to a peer that is elsewhere."""
        found = Haproxy(("/usr/sbin/haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg", "-p", "/run/haproxy.pid"))
        state = self.world.machines[images.HAPROXY] = MachineState(images.balancer(level=level))
        state.haproxy = found
        self.machine(images.HAPROXY).boot()
        return found

    @property
    def haproxy(self) -> Haproxy:
        found = self.world.machines[images.HAPROXY].haproxy
        assert found is not None
        return found

    def greeting(self, where: str, *, tls: bool) -> str:
        """What an HTTP server says there, to those who speak TLS where it does."""
        if tls != (where in self.in_tls):
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer", where)
        served = {f"{images.ADDRESSES[name]}:8004": name for name in (images.HEAT, images.API_PEER)}
        name = served.get(where)
        if name == images.API_PEER and name not in self.world.machines:
            return "HTTP/1.0 200 OK\r\n\r\n"
        if (
            name in self.world.machines
            and self.programs.answer_of_web(self.machine(name), [f"http://{where}"])["serving"]
        ):
            return "HTTP/1.0 200 OK\r\n\r\n"
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused", where)

    # --- devswap's side ---------------------------------------------------------------------------------------------

    def host(self, *, user: str = "ada", uid: int = 0) -> Host:
        """As a new process sees it."""
        return Host(
            settings=Settings(state_dir=self.state, wait=1.0),
            catalogue=_catalogue_with_files if self.in_files else _catalogue,
            hooks=lambda project, service: tuple(self.hooks),
            home=lambda: UserHome(user, uid, None, self.folder, self.folder / "home"),
            owner=Owner(user=user, uid=uid, host="aio1", terminal="pts/0", pid=4242),
            running=lambda: [machine for machine in map(self.machine, self.world.machines) if machine.is_running()],
            stopped=lambda: [name for name in self.world.machines if not self.machine(name).is_running()],
            machine=self.at,
            choose=lambda question, options: None,
            now=lambda: NOW,
            say=self.said.append,
        )

    @property
    def makers(self) -> Makers:
        return Makers(fetch=self._fetch, build=self._build, require=self._fetch)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def keep_files(self) -> None:
        """From now on heat-engine has two databases in files."""
        self.in_files = True
        for name in ("abc", "def"):
            sqlite.make(self.machine(images.HEAT).files, sqlite.path(name))

    def machine(self, name: str) -> SimulatedMachine:
        return SimulatedMachine(self, name)

    def at(self, address: str) -> Machine:
        if address == Local.address:
            return BackedMachine(Local())  # whose files devswap's own are among; nothing is changed through it
        name = address.removeprefix("lxc:")
        if name not in self.world.machines:
            raise MachineGone(f"there is no LXC container {name}", address=address)
        return SimulatedMachine(self, name)

    def checkout(self, name: str, *, revisions: Sequence[str] = images.REVISIONS, fate: str = "") -> Path:
        """Sources that can be checked out as the ref `name`; `fate` is what becomes of them: dies, mute or nothing."""
        folder = self.folder / "checkouts" / name
        (folder / MIGRATIONS).mkdir(parents=True)
        below: str | None = None
        for revision in revisions:
            text = f"revision = {revision!r}\ndown_revision = {below!r}\n"
            (folder / MIGRATIONS / f"{revision}_change.py").write_text(text)
            below = revision
        overlay = self._overlay(folder)
        (overlay / "bin").mkdir(parents=True)
        for script in ("python", "heat-engine", "heat-manage"):
            (overlay / "bin" / script).write_text("")
        (overlay / "fate").write_text(fate)
        return folder

    def _overlay(self, checkout: Path) -> Path:
        return self.folder / "overlays" / checkout.name

    def _fetch(self, project: str, ref: str, **_: object) -> Checkout:
        folder = self.folder / "checkouts" / ref
        if not folder.is_dir():
            raise DevswapError(f"{ref} is no branch, tag or commit of {project}")
        return Checkout(
            project=project,
            path=folder,
            ref=ref,
            commit=f"{ref:0<40}",
            subject=f"The change {ref}",
            message=f"The change {ref}",
            version="34.0.0.dev1",
            branch="master",
            dirty=False,
            own_tree=False,
            resolved=f"refs/heads/{ref}",
        )

    def _build(
        self,
        machine: Machine,
        request: Request,
        slot: Slot,
        *,
        unit: str,
        mounting: Callable[[Machine, Sequence[Mount]], Any],
        **_: object,
    ) -> Overlay:
        """As the real one where nothing is in the cache: with folders mounted for the time of a run in the machine."""
        folder = self._overlay(request.source)
        building = f"{os.path.dirname(os.path.dirname(slot.overlay))}/building"
        with mounting(machine, [Mount(folder, f"{building}/overlay", readonly=False)]):
            run_in_unit(machine, unit, ["true"], user=request.user, group=request.group)
        brought = {library.name: [library.name.replace("-", "_")] for library in request.libraries}
        return Overlay(folder=folder, key=request.source.name, installed=(), console_scripts={}, libraries=brought)

    def schema(self, where: tuple[str, str, str, str]) -> Schema:
        host, user, password, name = where
        if host not in self.world.servers:
            raise SqlError(f"ERROR 2002 (HY000): Can't connect to server on '{host}' (115)")
        return self.world.servers[host].schema(user, password, name)

    def own_schema(self, machine: SimulatedMachine, user: str, password: str, name: str) -> Schema:
        """Through the server's socket, which knows root without a password."""
        if machine.name != images.GALERA or (user, password) != ("root", ""):
            raise SqlError("ERROR 2002 (HY000): Can't connect to local server through socket (2)")
        return self.world.servers[images.DATABASE_HOST].schemas[name]

    def person_acts(self, machine: SimulatedMachine, unit: str) -> bool:
        """Called whenever devswap looks whether its foreground run has ended: Ctrl-C, and then the service ends."""
        self._looks[unit] = self._looks.get(unit, 0) + 1
        if self._looks[unit] % 2:
            if not self.ends_by_itself:
                os.kill(os.getpid(), signal.SIGINT)
            return False
        machine.end(unit, "inactive", 0)
        return True

    # --- time, and the death of a process ---------------------------------------------------------------------------

    def devswap_dies(self) -> None:
        for name in self.world.machines:
            self.machine(name).devswap_died()

    def time_passes(self) -> None:
        for name in self.world.machines:
            self.machine(name).time_passes()
        for server in self.world.servers.values():
            for schema in server.schemas.values():
                schema.settle()

    def take(self) -> Snapshot:
        return Snapshot.of(self.world, self.state)

    def put_back(self, snapshot: Snapshot) -> None:
        self.calls.begin()
        for descriptor in self.terminals.values():
            os.close(descriptor)
        self.terminals.clear()
        self.programs.polls = 0
        self._looks.clear()
        self.world = snapshot.put_back(self.state)


@contextmanager
def no_waiting(monkeypatch: Any) -> Iterator[None]:
    """The clock's only fake: sleeping takes no time."""
    with monkeypatch.context() as patched:
        patched.setattr("time.sleep", lambda seconds: None)
        yield
