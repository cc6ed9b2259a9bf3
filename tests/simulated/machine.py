"""One machine of the simulated cloud, behind devswap's Machine protocol."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar, cast

from devswap.errors import CommandFailed, CommandTimeout, DevswapError
from devswap.process import Popen, Result
from devswap.pty import Terminal
from tests.simulated import images, procfs, web
from tests.simulated.commands import end_of_pipe, interpret
from tests.simulated.files import File, Files
from tests.simulated.haproxy import MASTER, Haproxy
from tests.simulated.init import Init, Loaded, Running, behind_env, words
from tests.simulated.processes import Invocation, Outcome, SimulatedProcess

if TYPE_CHECKING:
    from tests.simulated.cloud import SimulatedCloud

T = TypeVar("T")
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "HOME": "/root",
}


@dataclass
class MachineState:
    """All there is of a machine: what a copy of it must hold."""

    files: Files = field(default_factory=Files)
    init: Init = field(init=False)
    running: bool = True
    haproxy: Haproxy | None = None
    more_addresses: tuple[str, ...] = ()
    """Those of other networks that it is in."""
    gives_networks: bool = True
    """Whether a unit can have a network of its own."""

    def __post_init__(self) -> None:
        self.init = Init(self.files)


class SimulatedMachine:
    """A view of the machine `name` in the cloud's world, which may be replaced under it by an earlier one."""

    def __init__(self, cloud: SimulatedCloud, name: str) -> None:
        self.cloud = cloud
        self.name = name

    def __repr__(self) -> str:
        return f"<simulated machine {self.address}>"

    @property
    def state(self) -> MachineState:
        return self.cloud.world.machines[self.name]

    @property
    def files(self) -> Files:
        return self.state.files

    @property
    def init(self) -> Init:
        return self.state.init

    # --- the protocol -----------------------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        return f"lxc:{self.name}"

    def is_running(self) -> bool:
        return self.state.running

    def is_frozen(self) -> bool:
        return False

    def addresses(self) -> list[str]:
        return [*self.state.more_addresses, images.ADDRESSES.get(self.name, "10.0.0.1")]

    def run(
        self,
        argv: Sequence[str],
        *,
        ok: Collection[int] = (0,),
        input: str | None = None,  # noqa: A002
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> Result:
        text = input if input is not None else (stdin.read().decode() if stdin is not None else "")
        outcome = self._execute(self._invocation(argv, env, user, cwd, text))
        if timeout is not None and argv[0] == "sleep" and float(argv[1]) > timeout:
            late = Result(tuple(argv), -9, "", "")
            raise CommandTimeout(f"{shlex.join(argv)} had not ended after {timeout:.0f} s", result=late)
        if stdout is not None:
            stdout.write(outcome.stdout.encode(errors="surrogateescape"))
        result = Result(tuple(argv), outcome.code, "" if stdout is not None else outcome.stdout, outcome.stderr)
        if result.code not in ok:
            raise CommandFailed(f"{shlex.join(argv)} failed with {result.code}: {result.tail}", result=result)
        return result

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        stdin: IO[bytes] | int | None = None,
        stdout: IO[bytes] | int | None = None,
        stderr: IO[bytes] | int | None = None,
        new_session: bool = False,
    ) -> Popen[bytes]:
        self._reach()
        if list(argv[:3]) == ["systemctl", "start", "--wait"]:
            return cast(Popen[bytes], self._start_and_wait(argv))

        def finish(read: str) -> Outcome:
            return self._execute(self._invocation(argv, env, user, cwd, read, closed=False))

        def is_over(read: str) -> bool:
            return self.cloud.programs.is_over(self, argv, read)

        return cast(Popen[bytes], SimulatedProcess(finish, is_over))

    def exists(self, path: str) -> bool:
        return self._look(f"file exists {path}", lambda: self.files.exists(path) or self._synthetic(path) is not None)

    def is_folder(self, path: str) -> bool:
        return self._look(f"file is_folder {path}", lambda: self.files.is_folder(path))

    def read_bytes(self, path: str) -> bytes | None:
        def read() -> bytes | None:
            found = self._synthetic(path)
            return found if found is not None else self.files.read(path)

        return self._look(f"file read {path}", read)

    def read_text(self, path: str) -> str | None:
        content = self.read_bytes(path)
        return None if content is None else content.decode(errors="replace")

    def link_target(self, path: str) -> str | None:
        return self._look(
            f"file link_target {path}", lambda: procfs.link_target(self.init, path) or self.files.link_target(path)
        )

    def names(self, path: str) -> list[str]:
        def read() -> list[str]:
            if path == "/run/systemd/units":
                return [f"invocation:{unit}" for unit in sorted(self.init.units) if self.init.is_active(unit)]
            if path == "/proc" and self.state.haproxy is not None:
                return sorted([str(MASTER), str(self.state.haproxy.worker), *procfs.names(self.init, path)])
            return procfs.names(self.init, path) or self.files.names(path)

        return self._look(f"file names {path}", read)

    def write_text(self, path: str, text: str, *, mode: int = 0o644, like: str | None = None) -> None:
        model = self.files.find(like) if like is not None else None
        mode = model.mode if isinstance(model, File) else mode

        def write() -> Generator[None, None, None]:
            folder, name = os.path.split(path)
            temporary = f"{folder}/.{name}.devswap"
            if not self.files.exists(folder):
                self.files.make_folder(folder)
                yield
            self.files.write(temporary, text.encode(), mode)
            yield
            self.files.write(path, text.encode(), mode)
            self.files.remove(temporary)

        self._change(f"file write {path}", write())

    def rename(self, source: str, target: str) -> None:
        def rename() -> Generator[None, None, None]:
            found = self.files.find(source)
            assert isinstance(found, File), source
            self.files.write(target, found.content, found.mode)
            self.files.remove(source)
            yield

        self._change(f"file rename {target}", rename())

    def converse(self, where: str, text: str, *, seconds: float, tls: bool = False) -> str:
        balancer = self.state.haproxy
        if balancer is None or where != balancer.socket:
            return self._look(f"socket {where}", lambda: self.cloud.greeting(where, tls=tls))
        if not balancer.changes(text):
            return self._look(f"socket {where}", lambda: "".join(balancer.answer(text)))

        def change() -> Generator[None, None, str]:
            said = ""
            for answer in balancer.answer(text):
                said += answer
                yield
            return said

        return self._change(f"socket {text.strip()}", change())

    def make_folder(self, path: str) -> None:
        def make() -> Generator[None, None, None]:
            self.files.make_folder(path)
            yield

        self._change(f"file make_folder {path}", make())

    def open_pipe(self, path: str) -> int:
        def make() -> Generator[None, None, int]:
            self.files.make_folder(os.path.dirname(path))
            yield
            self.files.remove(path)
            self.files.make_pipe(path)
            yield
            return os.open(os.devnull, os.O_RDWR)

        return self._change(f"file open_pipe {path}", make())

    def remove(self, path: str) -> None:
        def remove() -> Generator[None, None, None]:
            self.files.remove(path)
            yield

        self._change(f"file remove {path}", remove())

    def mount(self, source: Path, target: str, *, readonly: bool) -> None:
        def mount() -> Generator[None, None, None]:
            if not source.is_file():
                self.files.make_folder(target)
            yield
            self.files.mount(str(source), target, readonly=readonly)

        self._change(f"file mount {target}", mount())

    def unmount(self, target: str) -> None:
        def unmount() -> Generator[None, None, None]:
            self.files.unmount(target)
            yield

        self._change(f"file unmount {target}", unmount())

    def mounted(self, below: str) -> list[str]:
        return self._look(f"file mounted {below}", lambda: self.files.mounted(below))

    def open_terminal(self) -> Terminal:
        self._reach()
        ours, theirs = os.openpty()
        self.cloud.terminals[f"/dev/pts/{theirs}"] = theirs
        return Terminal(ours, f"/dev/pts/{theirs}")

    # --- what its systemd does --------------------------------------------------------------------------------------

    def launch(self, unit: str, loaded: Loaded) -> None:
        """Start the unit's command: it runs, or it is failed a moment later (a simple unit counts as started)."""
        if unit == web.UNIT:
            self.init.pid(unit)
            self.init.units[unit] = Running("active", "running", web.loaded(self.files), ports=web.ports(self.files))
            return
        line, environment, _ = behind_env(words((loaded.settings.get("ExecStart") or [""])[-1]))
        argv = self._resolved(line)
        code = 203 if not self._is_executable(argv[0]) else self.cloud.programs.fate(self, argv)
        code = code or (1 if self._is_taken(argv) else 0)
        if code:
            self.init.units[unit] = Running("failed", "failed", argv, code)
            return
        self.init.pid(unit)
        uid = self._uid(loaded.one("User", "root"))
        open_ports = [*_listens(argv), *self._debugged(environment)]
        self.init.units[unit] = Running("active", "running", argv, uid=uid, ports=open_ports)

    def _is_taken(self, argv: Sequence[str]) -> bool:
        """Whether Apache listens on a port that a server of applications is told to answer on."""
        apache = self.init.units.get(web.UNIT)
        taken = [port for _, port in apache.ports] if apache is not None and apache.active == "active" else []
        return "_devswap_serve" in argv and any(f":{port}=" in word for port in taken for word in argv)

    def _debugged(self, environment: dict[str, str]) -> list[tuple[str, int]]:
        """Where debugpy listens; it makes way for eventlet, and says so where the port is taken."""
        address, _, port = json.loads(environment.get("DEVSWAP_DEBUGGER", "{}")).get("listen", "").rpartition(":")
        taken = [each for unit in self.init.units.values() if unit.active == "active" for _, each in unit.ports]
        return [] if not port or self.cloud.eventlet or int(port) in taken else [(address, int(port))]

    def end(self, unit: str, active: str, code: int) -> None:
        """Its processes are gone. What the database server was told last, it goes on with."""
        found = self.init.unit(unit)
        if found.todo:
            where, sql = found.todo[0]
            self.cloud.schema(where).working.append(sql)
        if found.transient:
            del self.init.units[unit]
            self.init.loaded.pop(unit, None)
            self.files.remove(f"/run/systemd/transient/{unit}")
            return
        self.init.units[unit] = Running(active, "dead" if active == "inactive" else "failed", [], code)

    def make_transient(self, unit: str, argv: Sequence[str]) -> None:
        self.files.make_folder("/run/systemd/transient")
        line = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in argv)
        self.files.write(f"/run/systemd/transient/{unit}", f"[Service]\nExecStart={line}\n".encode())
        self.init.units[unit] = Running("active", "running", list(argv), transient=True)
        self.init.load(unit)

    def boot(self) -> None:
        """The machine restarts: memory and /run are gone, enabled units start."""
        self.state.running = True
        self.files.clear("/run")
        self.files.clear_mounts()
        if self.state.haproxy is not None:
            self.state.haproxy.load(self._text)
        for folder in ("/run/systemd/system", "/run/systemd/units"):
            self.files.make_folder(folder)
        fresh = Init(self.files)
        self.state.init = fresh
        for unit in fresh.names():
            loaded = fresh.load(unit) if fresh.is_enabled(unit) else None
            if loaded is not None:
                self.launch(unit, loaded)

    def _text(self, path: str) -> str | None:
        content = self.files.read(path) if self.files.exists(path) else None
        return None if content is None else content.decode()

    def halt(self) -> None:
        self.boot()
        self.state.running = False

    def devswap_died(self) -> None:
        """The kernel closes what it held open: the guards read the end of their pipes."""
        for unit in [unit for unit, found in self.init.units.items() if found.pipe]:
            end_of_pipe(self, unit)

    def time_passes(self) -> None:
        """What still runs by itself comes to its end."""
        for unit in [unit for unit, found in self.init.units.items() if found.transient]:
            found = self.init.units[unit]
            while found.todo:
                where, sql = found.todo.pop(0)
                self.cloud.schema(where).execute(sql)
            self.end(unit, "inactive", 0)

    # --- inside -----------------------------------------------------------------------------------------------------

    def _execute(self, call: Invocation) -> Outcome:
        self._reach()
        if call.user not in self._users():
            raise DevswapError(f"cannot run as {call.user} in {self.name}: there is no such user")
        if not self.files.is_folder(call.cwd):
            return Outcome(125, stderr=f"env: cannot change directory to '{call.cwd}': No such file or directory\n")
        effect = interpret(self, call)
        name = f"{self.name}: {_shown(call)}"
        if isinstance(effect, Outcome):
            return self.cloud.calls.look(name, lambda: effect)
        return self.cloud.calls.change(name, effect)

    def _start_and_wait(self, argv: Sequence[str]) -> SimulatedProcess:
        unit = argv[-1]
        outcome = self._execute(self._invocation([word for word in argv if word != "--wait"], None, None, None, ""))

        def is_over(read: str) -> bool:
            return outcome.code != 0 or not self.init.is_active(unit) or self.cloud.person_acts(self, unit)

        def finish(read: str) -> Outcome:
            failed = self.init.unit(unit).active == "failed"
            return Outcome(outcome.code or int(failed), stderr=outcome.stderr)

        return SimulatedProcess(finish, is_over)

    def _invocation(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None,
        user: str | None,
        cwd: str | None,
        stdin: str,
        *,
        closed: bool = True,
    ) -> Invocation:
        return Invocation(tuple(argv), {**_ENVIRONMENT, **(env or {})}, user or "root", cwd or "/", stdin, closed)

    def _reach(self) -> None:
        if not self.state.running:
            raise DevswapError(f"cannot reach {self.address}: it is not running", hint=f"lxc-start -n {self.name}")

    def _look(self, name: str, answer: Callable[[], T]) -> T:
        self._reach()
        return self.cloud.calls.look(name, answer)

    def _change(self, name: str, effect: Generator[None, None, T]) -> T:
        self._reach()
        return self.cloud.calls.change(name, effect)

    def _synthetic(self, path: str) -> bytes | None:
        if self.state.haproxy is not None and (shown := self.state.haproxy.file(path)) is not None:
            return shown
        return procfs.read(self.init, path)

    def _uid(self, user: str) -> int:
        lines = (self.files.read("/etc/passwd") or b"root:x:0:0").decode().splitlines()
        return next((int(line.split(":")[2]) for line in lines if line.split(":")[0] == user), 0)

    def _users(self) -> set[str]:
        lines = (self.files.read("/etc/passwd") or b"root:x:0:0").decode().splitlines()
        return {line.split(":")[0] for line in lines}

    def _resolved(self, argv: list[str]) -> list[str]:
        """With the interpreter that execve(2) takes from the first line of a script."""
        first = (self.files.read(argv[0]) if self.files.exists(argv[0]) else None) or b""
        line = first.decode(errors="replace").partition("\n")[0]
        return [*line[2:].split(), *argv] if line.startswith("#!") else argv

    def _is_executable(self, path: str) -> bool:
        return self.files.exists(path)


def _listens(argv: list[str]) -> list[tuple[str, int]]:
    """python3 -m http.server PORT --bind ADDRESS; for 0 it gets one from the kernel."""
    if "http.server" not in argv:
        return []
    return [(argv[-1], int(argv[argv.index("http.server") + 1]) or 40000)]


def _shown(call: Invocation) -> str:
    if call.argv[0] == "sh" and "MYSQL_PWD" in call.argv[2]:
        return f"{call.argv[4]} {call.stdin.partition(chr(10))[2][:40]!r}"
    return " ".join(word if len(word) < 60 else "…" for word in call.argv)
