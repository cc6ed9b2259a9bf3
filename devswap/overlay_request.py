"""What an overlay is made from, and the keys that follow from it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from devswap import overlay_tools, package_index, requirements, rootfs
from devswap.deployment import Interpreter
from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.package_index import Indexes, IndexPolicy
from devswap.requirements import Package

# Changes when overlays of another build could no longer be used
_FORMAT = "4"
# What decides on a project's metadata, and so on everything in the overlay
_INPUTS = (".txt", ".cfg", ".toml")


@dataclass(frozen=True)
class Library:
    """A library that is to be run from a checkout of its own, before production's copy."""

    distribution: str
    """As its own metadata call it."""
    source: Path
    version: str

    @property
    def name(self) -> str:
        """What its folders are called."""
        return canonicalize_name(self.distribution)

    @property
    def sources(self) -> str:
        """Where its packages are: in `src`, or (an empty text) at the top."""
        folder = self.source / "src"
        return "src" if folder.is_dir() and not (folder / "__init__.py").exists() else ""


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
    libraries: tuple[Library, ...] = ()
    tools: tuple[str, ...] = ()
    """What a developer wants besides, as requirements: a debugger."""
    installed: str = ""
    """Which content of the checkout is to be installed into it; empty: the checkout is used in place."""

    @property
    def trees(self) -> tuple[Library, ...]:
        """All that is run from checkouts: the project, and the libraries."""
        return (Library(self.distribution, self.source, self.version), *self.libraries)


@dataclass(frozen=True)
class Seen:
    """What the machine and the checkout are, as far as the overlay depends on it."""

    packages: Mapping[str, tuple[str, Package]]
    """By name: the site folder it lies in, and what it is."""
    indexes: Indexes
    key: str
    """The same for the same overlay."""
    kin: str
    """The same for overlays that differ in the versions of what is run from checkouts only."""


def look(machine: Machine, request: Request) -> Seen:
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
    python = request.interpreter
    packages = sorted(f"{name} {package.version}" for name, (_, package) in found.items())
    production = _digest([python.path, python.version, *python.site_folders, *packages])
    kin = _digest([_FORMAT, overlay_tools.brought_digest(), production, _wanted(request, indexes)])
    return Seen(found, indexes, _digest([kin, *(tree.version for tree in request.trees)]), kin)


def _wanted(request: Request, indexes: Indexes) -> dict[str, Any]:
    """All else that the overlay's content follows from. Index addresses may hold secrets: only their digest is kept."""
    return {
        "project": [request.distribution, request.package, *sorted(request.extras)],
        "inputs": _inputs(request.source),
        "layout": (request.source / "src" / request.package).is_dir(),
        "libraries": [
            [library.distribution, library.sources, _inputs(library.source)] for library in request.libraries
        ],
        "tools": request.tools,
        "installed": request.installed,
        "constraints": request.constraints,
        "policy": request.policy,
        "indexes": [indexes.ask_private(), indexes.ask_public()],
    }


def _inputs(source: Path) -> dict[str, str]:
    return {path.name: read(path) for path in sorted(source.iterdir()) if _is_input(path)}


def _is_input(path: Path) -> bool:
    return path.suffix in _INPUTS or path.name == "setup.py"


def _digest(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def build_system(source: Path) -> dict[str, Any]:
    """[build-system] of the checkout's pyproject.toml; empty where it has none."""
    try:
        found: dict[str, Any] = tomllib.loads(read(source / "pyproject.toml")).get("build-system", {})
    except tomllib.TOMLDecodeError as error:
        raise DevswapError(
            f"cannot read {source / 'pyproject.toml'}: {error}", hint="mend it, then try again"
        ) from error
    return found


def read(path: Path) -> str:
    """Of a file at the top of a checkout, out of which no symlink leads; empty where there is no such file."""
    try:
        with rootfs.opened(path.parent) as files:
            return (files.read_bytes(path.name) or b"").decode(errors="replace")
    except (FileNotFoundError, IsADirectoryError):
        return ""
