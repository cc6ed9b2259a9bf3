"""Takes an application out of Apache, and runs the checkout's there instead.

Production's files stay as they are: a folder of devswap's own is shown in the place of the folder of its sites. It goes
with the machine's run, as everything of devswap does; and what others change meanwhile, they change in production's.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from devswap import apache, links, ports, probe, systemd
from devswap.errors import CommandFailed, DevswapError
from devswap.haproxy import is_address
from devswap.journal import write_durably
from devswap.machine import Machine
from devswap.probe_web import WebProbe
from devswap.steps.step import Cloud, Step, shell

_FREE_SECONDS = 20.0
_ANSWER_SECONDS = 60.0
_ANY = ("0.0.0.0", "[::]")  # noqa: S104 - told by the kernel


@dataclass(frozen=True)
class LetGo(Step):
    """The web server `unit` reads `text` in the place of the site `path`, in which the application is missing."""

    service: str
    unit: str
    path: str
    text: str
    ports: tuple[str, ...]
    """That nobody listens on afterwards."""
    others: tuple[tuple[str, str], ...] = ()
    """(path, text) of other files in the place of which it reads `text`, as they say that it listens on the ports."""

    kind: ClassVar[str] = "let-go"
    holds: ClassVar[bool] = True

    def capture(self, cloud: Cloud) -> Any:
        machine = cloud.machine(self.on)
        for path in [_folder(self.path)] if is_shown(machine, self.path) else self._covered(machine):
            raise DevswapError(f"something is mounted on {path} in {machine.name} that no swap knows of")
        return {"active": systemd.state(machine, self.unit).is_active}

    def do(self, cloud: Cloud) -> None:
        machine = cloud.machine(self.on)
        if not is_shown(machine, self.path):
            self._copy(machine, _sites(cloud))
            machine.mount(_sites(cloud), _real_folder(machine, self.path), readonly=True)
        covered = self._covered(machine)
        for number, (path, text) in enumerate(self._elsewhere()):
            if path not in covered:
                file = _files(cloud) / str(number)
                file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                write_durably(file, text.encode(), mode=0o644)
                machine.mount(file, path, readonly=True)
        reload(machine, self.unit)
        self._await_free(machine)

    def undo(self, cloud: Cloud, captured: Any) -> None:
        machine = cloud.machine(self.on)
        if is_shown(machine, self.path):
            machine.unmount(_real_folder(machine, self.path))
        for path in self._covered(machine):
            machine.unmount(path)
        if systemd.state(machine, self.unit).is_active:
            reload(machine, self.unit)
        elif captured["active"]:
            systemd.start(machine, self.unit)
        _remove(_sites(cloud))
        _remove(_files(cloud))

    def _elsewhere(self) -> list[tuple[str, str]]:
        """Of the others those that are not in the folder of the site: each of them is covered by itself."""
        return [(path, text) for path, text in self.others if _folder(path) != _folder(self.path)]

    def _covered(self, machine: Machine) -> list[str]:
        return [path for path, _ in self._elsewhere() if path in machine.mounted(path)]

    def _copy(self, machine: Machine, target: Path) -> None:
        _remove(target)
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _copy_folder(machine, _folder(self.path), target, without=posixpath.basename(self.path))
        beside = [(path, text) for path, text in self.others if _folder(path) == _folder(self.path)]
        for path, text in [*beside, (self.path, self.text)]:
            (target / posixpath.basename(path)).unlink(missing_ok=True)
            write_durably(target / posixpath.basename(path), text.encode(), mode=0o644)

    def _await_free(self, machine: Machine) -> None:
        until = time.monotonic() + _FREE_SECONDS
        while taken := [port for port in self.ports if self._is_taken(machine, port)]:
            if time.monotonic() > until:
                raise DevswapError(
                    f"{self.unit} in {machine.name} still listens on port {', '.join(taken)}",
                    hint=f"another of its files says so: {shell(self.on, 'grep', '-rn', 'Listen', '/etc')}",
                )
            time.sleep(0.05)

    def _is_taken(self, machine: Machine, port: str) -> bool:
        """Where the application has it: on this host itself HAProxy has the same ports, on addresses of its own."""
        said = [address.rpartition(":") for host in apache.read(self.text).hosts for address in host.addresses]
        own = {host for host, _, number in said if number == port}
        there = ports.addresses(machine, int(port))
        if own and all(is_address(host.strip("[]")) for host in own):
            there &= {*own, *_ANY}
        return bool(there)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        places = [_folder(self.path), *(path for path, _ in self._elsewhere())]
        return [
            *(
                f"{shell(self.on, 'umount', '--lazy', each)} || true  # fails where nothing is mounted"
                for each in places
            ),
            shell(self.on, "systemctl", "reload-or-restart", self.unit),
        ]

    def describe(self) -> tuple[str, str]:
        return f"take {self.service} out of {self.unit}", f"let {self.unit} run {self.service} as before"


@dataclass(frozen=True)
class PointSite(Step):
    """The web server runs the application from the overlay: `text` takes the place of what `LetGo` shows."""

    service: str
    unit: str
    path: str
    text: str
    before: str
    """What `LetGo` shows."""

    kind: ClassVar[str] = "point-site"
    runs: ClassVar[bool] = True

    def capture(self, cloud: Cloud) -> Any:  # noqa: ARG002 - LetGo comes first, and shows `before`
        return {}

    def do(self, cloud: Cloud) -> None:
        self._write(cloud, self.text)
        reload(cloud.machine(self.on), self.unit)

    def undo(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        """Where the machine was restarted, nothing of ours is shown any more; whoever stopped Apache has stopped it."""
        machine = cloud.machine(self.on)
        if is_shown(machine, self.path):
            self._write(cloud, self.before)
            if systemd.state(machine, self.unit).is_active:
                reload(machine, self.unit)

    def _write(self, cloud: Cloud, text: str) -> None:
        write_durably(_sites(cloud) / posixpath.basename(self.path), text.encode(), mode=0o644)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        return ["true  # what comes next puts production's sites back"]

    def describe(self) -> tuple[str, str]:
        return f"run {self.service} from the overlay in {self.unit}", f"take {self.service} out of {self.unit}"


@dataclass(frozen=True)
class RefreshFront(Step):
    """The web server `unit` stands before the application, and does not ask it for a minute after it was not there.

    So its memory is cleared once production answers again; the same is done by whoever starts development.
    """

    unit: str
    behind: str
    """The unit of the application."""
    python: str
    user: str
    addresses: tuple[str, ...]
    ask: str

    kind: ClassVar[str] = "refresh-front"
    facts: ClassVar[tuple[str, ...]] = ("serving through ",)

    def capture(self, cloud: Cloud) -> Any:  # noqa: ARG002 - it changes nothing that would have to be known
        return {}

    def do(self, cloud: Cloud) -> None:
        pass

    def undo(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        machine = cloud.machine(self.on)
        if not (machine.is_running() and systemd.state(machine, self.unit).is_active):
            return
        if systemd.state(machine, self.behind).is_active:
            probe.ask(
                WebProbe(self.behind, self.python, self.user, self.addresses, self.ask),
                machine,
                seconds=_ANSWER_SECONDS,
            )
        reload(machine, self.unit)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        return [f"sleep 10; {shell(self.on, 'systemctl', 'reload', self.unit)}  # it would not ask for a minute"]

    def describe(self) -> tuple[str, str]:
        return f"let {self.unit} ask {self.behind} anew", f"let {self.unit} ask {self.behind} anew, once it answers"


def reload(machine: Machine, unit: str) -> None:
    """Make the web server read its files again without dropping a request; raises DevswapError if they are wrong.

    A configuration that does not pass is never loaded: what runs goes on with the one before.
    """
    try:
        machine.run(["apachectl", "configtest"])
    except CommandFailed as error:
        raise DevswapError(f"{unit} in {machine.name} would not read its files: {error.result.tail}") from error
    try:
        machine.run(["systemctl", "reload", "--", unit])
    except CommandFailed as error:
        raise DevswapError(
            f"cannot reload {unit} in {machine.name}: {error.result.tail}",
            hint=f"if it does not run, start it: {shell(machine.address, 'systemctl', 'start', unit)}",
        ) from error


def is_shown(machine: Machine, path: str) -> bool:
    """Whether the folder of devswap's own lies over the one of the site `path`."""
    folder = _real_folder(machine, path)
    return folder in machine.mounted(folder)


def _copy_folder(machine: Machine, source: str, target: Path, *, without: str = "") -> None:
    """All in it as it is: links as links, since they lead to the same place from there; folders with what is in them.

    Which of that Apache reads is said by a pattern in its own files.
    """
    target.mkdir(mode=0o755)
    for name in machine.names(source):
        path = posixpath.join(source, name)
        link = machine.link_target(path)
        if name == without:
            continue
        if link is not None:
            os.symlink(link, target / name)
        elif machine.is_folder(path):
            _copy_folder(machine, path, target / name)
        elif (content := machine.read_bytes(path)) is not None:
            write_durably(target / name, content, mode=0o644)


def _real_folder(machine: Machine, path: str) -> str:
    """Where the folder of the site is mounted on: a step of an earlier devswap may name it by a link."""
    return links.followed(machine, _folder(path))


def _folder(path: str) -> str:
    return posixpath.dirname(path)


def _sites(cloud: Cloud) -> Path:
    return cloud.vault / "sites"


def _files(cloud: Cloud) -> Path:
    return cloud.vault / "listening"


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
