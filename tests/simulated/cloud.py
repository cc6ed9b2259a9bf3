"""A whole simulated cloud: heat in three containers and its database in a fourth, with a host that devswap runs on."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from devswap import migrations, sqlite_files
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
from tests.simulated import images, nova, sqlite, web
from tests.simulated.calls import Calls
from tests.simulated.files import Files
from tests.simulated.haproxy import Haproxy
from tests.simulated.init import behind_env
from tests.simulated.machine import MachineState, SimulatedMachine
from tests.simulated.mariadb import Schema, SqlError
from tests.simulated.processes import Effect, Invocation, Outcome
from tests.simulated.snapshot import Snapshot, World

NOW = "2026-01-01T00:00:00.000+00:00"
_SERVED_BY = {"8004": "heat-api.service", "8000": "heat-api-cfn.service"}
_MIGRATIONS = "heat/db/migrations/versions"
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
        self._polls = 0
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
        if name in self.world.machines and self._answer_of_web(self.machine(name), [f"http://{where}"])["serving"]:
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
        (folder / _MIGRATIONS).mkdir(parents=True)
        below: str | None = None
        for revision in revisions:
            text = f"revision = {revision!r}\ndown_revision = {below!r}\n"
            (folder / _MIGRATIONS / f"{revision}_change.py").write_text(text)
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

    # --- what runs in the machines ----------------------------------------------------------------------------------

    def program(self, machine: SimulatedMachine, call: Invocation) -> Effect | None:
        """The Python programs; None for what is none of them."""
        tool, *arguments = call.argv
        if not tool.rpartition("/")[2].startswith("python") or "-c" not in arguments:
            return None
        if not machine.files.exists(tool):
            return Outcome(127, stderr=f"env: '{tool}': No such file or directory\n")
        script, *words = arguments[arguments.index("-c") + 1 :]
        if script == sqlite_files.script():
            return sqlite.program(machine, words[0], call)
        if "memfd_create" in script:
            return self._hook(json.loads(call.stdin))
        if _asks(script):
            return Outcome(0, json.dumps(self._answer(machine, json.loads(call.stdin.splitlines()[0]))))
        if "os.execv(sys.executable" in script:
            return self._unit_tests(machine, words)
        if "oslo.config.opts" in script:
            return Outcome(0, json.dumps(self.options)) if self.options else Outcome(1, stderr="no oslo.config\n")
        if "sys.base_prefix" in script:
            virtualenv = os.path.dirname(os.path.dirname(tool))
            folders = [f"{virtualenv}/lib/python3.11/site-packages"]
            version = "2.7" if "python2" in tool else "3.11"
            return Outcome(0, json.dumps({"version": version, "folders": folders, "virtualenv": virtualenv}))
        if "find_spec" in script or "import_module" in script:
            package, _, folder, libraries = words
            apart = {name: self._imported(machine, name, place) for name, place in json.loads(libraries).items()}
            found = {"place": f"{folder}/{package}/__init__.py", "apart": apart, "unreadable": [], "count": 0}
            return Outcome(0, json.dumps(found))
        return None

    def _hook(self, given: Mapping[str, Any]) -> Outcome:
        """Its last line is all it does: exit CODE, echo WORD, or nothing."""
        self.hooks_run.append(json.loads(given["document"]))
        tool, *words = shlex.split(given["script"].splitlines()[-1])
        if tool == "exit":
            return Outcome(int(words[0]), stderr="it was told to\n")
        return Outcome(0, f"{words[0]}\n" if tool == "echo" else "")

    def _unit_tests(self, machine: SimulatedMachine, words: Sequence[str]) -> Outcome:
        """They need the checkout where they are told that it is, and a folder that can be written."""
        checkout, folder, *argv = words
        assert machine.files.is_folder(checkout)
        assert machine.files.is_folder(os.path.dirname(folder))
        self.tested.append((str(machine.files.find(checkout)), *argv))
        return Outcome(3 if "fails" in argv else 0)

    def _imported(self, machine: SimulatedMachine, package: str, folder: str) -> str | None:
        """Where a library's package is found; production has none of its name."""
        return f"{folder}/{package}/__init__.py" if isinstance(machine.files.find(folder), Path) else None

    def is_over(self, machine: SimulatedMachine, argv: Sequence[str], read: str) -> bool:
        """A probe goes on asking until the service serves, or its time is over."""
        if not _asks(" ".join(argv)):
            return True
        self._polls += 1
        asked = json.loads(read.splitlines()[0])
        return self._answer(machine, asked)["serving"] is True or self._polls > 20 * asked["seconds"]

    def _answer(self, machine: SimulatedMachine, asked: Mapping[str, Any]) -> dict[str, object]:
        if "addresses" in asked:
            return self._answer_of_web(machine, asked["addresses"])
        host = asked["hosts"][0][0] or machine.name
        self.starting = max(0, self.starting - 1)
        units = {topic: f"nova-{topic}.service" for topic in nova.SERVICES} | {"engine": "heat-engine.service"}
        running = machine.init.units.get(units.get(asked["topic"], ""))
        serving = running is not None and running.active == "active" and self._fate(machine, running.argv) != "mute"
        serving = serving and not self.starting
        queue = f"the queue {asked['topic']}.{host}"
        return {"serving": serving, "why": f"{queue} has a consumer" if serving else f"{queue} has no consumer"}

    def _answer_of_web(self, machine: SimulatedMachine, addresses: Sequence[str]) -> dict[str, object]:
        for address in addresses:
            argv = self._behind(machine, address.rpartition(":")[2])
            if argv is None:
                return {"serving": False, "why": f"{address} cannot be asked: Connection refused"}
            if self._fate(machine, argv) == "mute":
                return {"serving": False, "why": f"{address} answers 500"}
        return {"serving": True, "why": ", ".join(f"{address} answers 300" for address in addresses)}

    def _behind(self, machine: SimulatedMachine, port: str) -> list[str] | None:
        """The command of what answers on a port, or its Python; None where nobody does."""
        units = {name: unit for name, unit in machine.init.units.items() if unit.active == "active"}
        home = web.home(units[web.UNIT].argv, port) if web.UNIT in units else None
        if home is not None:
            return [f"{home}/bin/python"]
        own = [unit.argv for unit in units.values() if any(f":{port}=" in word for word in unit.argv)]
        named = units.get(_SERVED_BY.get(port, ""))
        return own[0] if own else named.argv if named else None

    def fate(self, machine: SimulatedMachine, argv: Sequence[str]) -> int:
        """The exit code of a service that ends as soon as it was started; 0 for one that runs."""
        if self._fate(machine, argv) == "dies":
            return 1
        if self.in_files and argv[-1].endswith("/heat-engine") and isinstance(machine.files.find(argv[0]), Path):
            sqlite.alter_all(machine.files)
        return nova.record(self, machine, argv) if "/nova-" in " ".join(argv[1:]) else 0

    def _fate(self, machine: SimulatedMachine, argv: Sequence[str]) -> str:
        overlay = argv[argv.index("--virtualenv") + 1] + "/bin/python" if "--virtualenv" in argv else argv[0]
        found = machine.files.find(overlay)
        return (found.parent.parent / "fate").read_text() if isinstance(found, Path) else ""

    def title(self, argv: Sequence[str]) -> str:
        return ""

    def migration(
        self, machine: SimulatedMachine, call: Invocation
    ) -> list[tuple[tuple[str, str, str, str], str]] | None:
        """What a project's own migration command executes, where `call` is one."""
        argv = behind_env(list(call.argv))[0]
        if len(argv) > 2 and argv[1].endswith("/nova-manage"):
            url = call.env.get("OS_DATABASE__CONNECTION", "")
            return nova.migration(self, self._checkout_of(machine, argv[0]), argv[2:], url)
        if len(argv) < 3 or not argv[1].endswith("/heat-manage") or argv[-1] != "db_sync":
            return None
        source = machine.files.find(argv[0].replace("/overlay/bin/python", "/checkout"))
        if not (isinstance(source, Path) or machine.files.is_folder(argv[0].replace("/bin/python", ""))):
            raise SqlError("no such program")
        tree = migrations.read(self._checkout_of(machine, argv[0]), [_MIGRATIONS])
        now = self.schema(images.ACCOUNT).column("alembic_version")
        missing = [revision for revision in sorted(tree.known) if [revision] > now]
        return [(images.ACCOUNT, sql) for revision in missing for sql in images.CHANGES[revision]]

    def _checkout_of(self, machine: SimulatedMachine, python: str) -> Path:
        """The checkout that an overlay's interpreter is of."""
        folder = Path(machine.files.find(python).__fspath__()).parent.parent  # type: ignore[union-attr]
        return self.folder / "checkouts" / folder.name

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
        self._polls = 0
        self._looks.clear()
        self.world = snapshot.put_back(self.state)


def _asks(script: str) -> bool:
    """Whether it is a probe's."""
    return "import amqp" in script or "def connect(parts" in script


@contextmanager
def no_waiting(monkeypatch: Any) -> Iterator[None]:
    """The clock's only fake: sleeping takes no time."""
    with monkeypatch.context() as patched:
        patched.setattr("time.sleep", lambda seconds: None)
        yield
