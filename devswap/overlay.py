"""The development virtualenv: a thin layer over production's packages that holds only what a checkout needs besides.

It sees, in this order: what was installed into it, the checkout, production's packages. All of it is made while
production serves, below the cache on the host; production's own files are read and never touched.

    overlay = prepare(machine, request, slot, cache=…, unit=…, say=…)   # from the cache, or built there
    mounts(overlay, request, slot, cache=…)                             # to be mounted before it is used
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devswap import overlay_tools, package_index, requirements
from devswap.deployment import Interpreter
from devswap.errors import CommandFailed, DevswapError
from devswap.import_check import unreadable
from devswap.installer import Inside, Installed, Installer
from devswap.machine import Machine
from devswap.masking import mask
from devswap.overlay_cache import OverlayCache, Workplace
from devswap.package_index import Indexes, IndexPolicy
from devswap.requirements import Package, Production, Unmet
from devswap.slot import Mount, Slot

# Changes when overlays of another build could no longer be used
_FORMAT = "1"
# What decides on a project's metadata, and so on everything in the overlay
_INPUTS = ("setup.cfg", "setup.py", "pyproject.toml", "requirements.txt")
_OLD_STYLE = ["setuptools"]


@dataclass(frozen=True)
class Request:
    """Which overlay is wanted: for whose checkout, over which production, with packages from where."""

    interpreter: Interpreter
    user: str
    group: str
    distribution: str
    """The project's name on the package index."""
    package: str
    source: Path
    """The checkout, on the host."""
    version: str
    """As git describes it: in the machine there is no git to ask."""
    extras: tuple[str, ...] = ()
    constraints: str = ""
    """The text of the branch's upper constraints."""
    policy: IndexPolicy = IndexPolicy.FALLBACK
    private_links: tuple[str, ...] = ()
    """Addresses of the private index that no pip.conf names."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Production's own, for its pip settings."""


@dataclass(frozen=True)
class Overlay:
    """A finished overlay on the host, and what was installed into it."""

    folder: Path
    key: str
    installed: tuple[Installed, ...]
    console_scripts: Mapping[str, str]
    """What each script calls: {"heat-engine": "heat.cmd.engine:main"}."""


@dataclass(frozen=True)
class _Seen:
    """What the machine and the checkout are, as far as the overlay depends on it."""

    packages: Mapping[str, tuple[str, Package]]
    """By name: the site folder it lies in, and what it is."""
    indexes: Indexes
    key: str


Mounted = Callable[[Machine, Sequence[Mount]], AbstractContextManager[None]]


def cached(machine: Machine, request: Request, *, cache: Path) -> Overlay | None:
    """The overlay, if it was built before from the same things; needs no network and runs nothing."""
    key = _look(machine, request).key
    return _read(OverlayCache(cache), key)


def mounts(overlay: Overlay, request: Request, slot: Slot, *, cache: Path, uid: int, gid: int) -> tuple[Mount, ...]:
    """What must be mounted for the overlay to work; the bytecode folder is made, writable for the service's user."""
    bytecode = _bytecode(cache, request, uid, gid)
    return (
        Mount(request.source, slot.checkout, readonly=True),
        Mount(overlay.folder, slot.overlay, readonly=True),
        Mount(bytecode, slot.bytecode, readonly=False),
    )


@contextmanager
def mounted(machine: Machine, wanted: Sequence[Mount]) -> Iterator[None]:
    """Mount the folders for a while; what an interrupted build left mounted there goes first."""
    folder = posixpath.dirname(wanted[0].target)
    _unmount(machine, folder)
    try:
        for each in wanted:
            machine.mount(each.source, each.target, readonly=each.readonly)
        yield
    finally:
        _unmount(machine, folder)
        for each in wanted:
            _remove_empty(machine, each.target)


def prepare(
    machine: Machine,
    request: Request,
    slot: Slot,
    *,
    cache: Path,
    unit: str,
    say: Callable[[str], None],
    mounting: Mounted = mounted,
) -> Overlay:
    """The overlay, from the cache or built there; raises DevswapError, and then nothing has changed.

    It is built beside the slot, which may be in use. `unit` names what runs in the machine meanwhile; `mounting` mounts
    what the build needs and takes it away again.
    """
    seen, store = _look(machine, request), OverlayCache(cache)
    if found := _read(store, seen.key):
        return found
    uid, gid = ids(machine, request.user, request.group)
    waiting = lambda: say("waiting for another devswap that builds the same overlay")  # noqa: E731
    with store.workplace(seen.key, uid=uid, gid=gid, waiting=waiting) as work:
        if found := _read(store, seen.key):
            return found
        place = _build_slot(slot)
        tools = overlay_tools.folder(cache, request.interpreter.version)
        with mounting(machine, _build_mounts(place, request, work, tools)):
            inside = Inside(machine, place, unit, request.user, request.group)
            facts = _Build(inside, request, seen, say).run()
        folder = store.complete(seen.key, work, facts)
    return _overlay(folder, seen.key, facts)


def ids(machine: Machine, user: str, group: str) -> tuple[int, int]:
    """The numbers of a user and a group of the machine."""
    return _id(machine, "/etc/passwd", user), _id(machine, "/etc/group", group)


def _id(machine: Machine, path: str, name: str) -> int:
    for line in (machine.read_text(path) or "").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split(":")[2])
    raise DevswapError(f"cannot build for {name} in {machine.name}: its {path} has no such name")


class _Build:
    """One build, from the empty folder to the finished overlay."""

    def __init__(self, inside: Inside, request: Request, seen: _Seen, say: Callable[[str], None]) -> None:
        self._inside = inside
        self._request = request
        self._seen = seen
        self._say = say

    def run(self) -> dict[str, Any]:
        """What is to be noted about the overlay."""
        system = _build_system(self._request.source)
        needs = self._build_needs(system)
        self._say(f"building an overlay for {self._request.distribution} {self._request.version}")
        described = self._environment(system, then_project=not needs)
        before: list[Installed] = []
        if needs:
            backend = f"{self._inside.slot.build}/backend"
            before = self._install(needs, self._production({}), into=backend)
            described = self._project(system, backend)
        installed = self._requirements(described)
        return {
            "installed": [each.as_json() for each in (*before, *installed)],
            "console_scripts": described["console_scripts"],
        }

    def _build_needs(self, system: Mapping[str, Any]) -> list[Unmet]:
        """What the project's build needs that production lacks: pbr and setuptools are there almost always."""
        wanted = list(system.get("requires", _OLD_STYLE))
        if "pbr" in _text(self._request.source / "setup.py") and not any(text.startswith("pbr") for text in wanted):
            wanted.append("pbr")
        if any(text.startswith("pbr") for text in wanted) and not any(text.startswith("setuptools") for text in wanted):
            wanted.append("setuptools")
        version = self._request.interpreter.version
        environment = {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": "linux"}
        return requirements.unmet(
            wanted, self._production(environment), of=f"the build of {self._request.distribution}"
        )

    def _environment(self, system: Mapping[str, Any], *, then_project: bool) -> dict[str, Any]:
        sources = "src" if (self._request.source / "src" / self._request.package).is_dir() else ""
        plan = {
            "site_folders": self._request.interpreter.site_folders,
            "sources": sources,
            "then_project": then_project,
            "build_system": system,
        }
        return self._run([self._request.interpreter.path, "-I", "-B"], "environment", plan, {})

    def _project(self, system: Mapping[str, Any], backend: str) -> dict[str, Any]:
        plan = {"build_system": system}
        return self._run([self._inside.slot.python, "-B"], "project", plan, {"PYTHONPATH": backend})

    def _run(
        self, python: Sequence[str], command: str, plan: Mapping[str, object], env: Mapping[str, str]
    ) -> dict[str, Any]:
        try:
            said = self._inside.run(python, command, plan, env={**self._pbr(), **env}).stdout
        except CommandFailed as error:
            last = mask(
                (error.result.stderr.strip().splitlines() or [f"it ended with {error.result.code}"])[-1].strip()
            )
            raise DevswapError(
                f"cannot read the metadata of {self._request.source}: {last}",
                hint="do its setup.cfg and pyproject.toml build elsewhere? the run's log has all that the build said",
            ) from error
        found: dict[str, Any] = json.loads(said)
        if names := found.get("unreadable"):
            raise unreadable(len(names), names, self._request.user)
        return found

    def _pbr(self) -> dict[str, str]:
        """pbr asks git for the version, the authors and the history; there is none in the machine."""
        return {
            "PBR_VERSION": self._request.version,
            "SETUPTOOLS_SCM_PRETEND_VERSION": self._request.version,
            "SKIP_GIT_SDIST": "1",
            "SKIP_GENERATE_AUTHORS": "1",
            "SKIP_WRITE_GIT_CHANGELOG": "1",
            "SKIP_GENERATE_RENO": "1",
        }

    def _requirements(self, described: Mapping[str, Any]) -> list[Installed]:
        production = self._production(described["environment"])
        request = self._request
        wanted = requirements.requires_dist(described["metadata"])
        needs = requirements.unmet(
            wanted, production, of=request.distribution, extras=request.extras, own=request.distribution
        )
        if not needs:
            return []
        self._say(f"production lacks {', '.join(need.requirement for need in needs)}")
        installed = self._install(needs, production)
        self._inside.run([self._inside.slot.python, "-I", "-B"], "relocate", {})
        return installed

    def _install(self, needs: Sequence[Unmet], production: Production, *, into: str | None = None) -> list[Installed]:
        request = self._request
        changing = [need.name for need in needs]
        limits = requirements.constraints_beside(
            request.constraints, production, own=request.distribution, changing=changing
        )
        installer = Installer(self._inside, self._seen.indexes, request.policy, production, self._say)
        return installer.install(needs, limits, into=into)

    def _production(self, environment: Mapping[str, str]) -> Production:
        return Production(
            {name: found for name, (_, found) in self._seen.packages.items()}, environment, self._requires
        )

    def _requires(self, name: str) -> list[str]:
        folder, package = self._seen.packages[name]
        for file in ("METADATA", "PKG-INFO"):
            if text := self._inside.machine.read_text(f"{folder}/{package.metadata}/{file}"):
                return requirements.requires_dist(text)
        return []


def _look(machine: Machine, request: Request) -> _Seen:
    """Reads names of folders and small files only, so that the cache answers at once."""
    found: dict[str, tuple[str, Package]] = {}
    for folder in request.interpreter.site_folders:
        for name, package in requirements.packages(machine.names(folder)).items():
            found.setdefault(name, (folder, package))
    indexes = package_index.of_machine(
        machine,
        virtualenv=request.interpreter.virtualenv,
        environment=request.environment,
        private_links=request.private_links,
    )
    return _Seen(found, indexes, _key(request, found, indexes))


def _key(request: Request, found: Mapping[str, tuple[str, Package]], indexes: Indexes) -> str:
    """A digest of all that the overlay's content follows from; of index addresses, which may hold secrets, too."""
    parts = {
        "format": _FORMAT,
        "interpreter": [request.interpreter.path, request.interpreter.version, *request.interpreter.site_folders],
        "packages": sorted(f"{name} {package.version}" for name, (_, package) in found.items()),
        "project": [request.distribution, request.package, request.version, *sorted(request.extras)],
        "inputs": {name: _text(request.source / name) for name in _INPUTS},
        "layout": (request.source / "src" / request.package).is_dir(),
        "constraints": request.constraints,
        "policy": request.policy,
        "indexes": [indexes.ask_private(), indexes.ask_public()],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def _read(store: OverlayCache, key: str) -> Overlay | None:
    facts = store.read(key)
    return _overlay(store.path(key), key, facts) if facts else None


def _overlay(folder: Path, key: str, facts: Mapping[str, Any]) -> Overlay:
    installed = tuple(Installed(**each) for each in facts["installed"])
    return Overlay(folder=folder, key=key, installed=installed, console_scripts=facts["console_scripts"])


def _build_system(source: Path) -> dict[str, Any]:
    """[build-system] of the checkout's pyproject.toml; empty where it has none."""
    try:
        found: dict[str, Any] = tomllib.loads(_text(source / "pyproject.toml")).get("build-system", {})
    except tomllib.TOMLDecodeError as error:
        raise DevswapError(f"cannot read {source / 'pyproject.toml'}: {error}") from error
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, IsADirectoryError):
        return ""


def _bytecode(cache: Path, request: Request, uid: int, gid: int) -> Path:
    """One folder per checkout: at one place in the machine different checkouts appear, with files of the same age."""
    name = hashlib.sha256(f"{request.source} {uid} {request.interpreter.version}".encode()).hexdigest()[:20]
    folder = cache / "bytecode" / name
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, uid, gid)
    folder.chmod(0o700)
    return folder


def _build_slot(slot: Slot) -> Slot:
    folder = posixpath.join(posixpath.dirname(slot.overlay), "building")
    return Slot(checkout=f"{folder}/checkout", overlay=f"{folder}/overlay")


def _build_mounts(place: Slot, request: Request, work: Workplace, tools: Path) -> tuple[Mount, ...]:
    return (
        Mount(request.source, place.checkout, readonly=True),
        Mount(tools, place.tools, readonly=True),
        Mount(work.overlay, place.overlay, readonly=False),
        Mount(work.build, place.build, readonly=False),
    )


def _remove_empty(machine: Machine, folder: str) -> None:
    """Remove the folder and those above it below /run, as far as nothing is in them."""
    while folder.count("/") > 1 and machine.is_folder(folder) and not machine.names(folder):
        machine.remove(folder)
        folder = posixpath.dirname(folder)


def _unmount(machine: Machine, folder: str) -> None:
    for point in reversed(machine.mounted(folder)):
        machine.unmount(point)
