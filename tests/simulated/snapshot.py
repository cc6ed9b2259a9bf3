"""What a simulated cloud is at an instant, so that it can be put back, and compared with another instant."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path

from tests.simulated.files import Files, Folder
from tests.simulated.init import Init, Running
from tests.simulated.machine import MachineState
from tests.simulated.mariadb import Server

_FOR_A_PERSON = ("restore.sh", "terminal.log")


@dataclass
class World:
    """Everything that outlives devswap, but the host's disk."""

    machines: dict[str, MachineState] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """The world at an instant, with the host's state folder."""

    world: bytes
    disk: Mapping[str, bytes]
    folders: frozenset[str]
    digest: int
    """Equal for equal states."""

    @classmethod
    def of(cls, world: World, state: Path) -> Snapshot:
        disk: dict[str, bytes] = {}
        folders: set[str] = set()
        for above, inner, names in os.walk(state):
            where = os.path.relpath(above, state)
            folders.update(os.path.normpath(f"{where}/{name}") for name in inner)
            for name in names:
                if name != "lock":
                    disk[os.path.normpath(f"{where}/{name}")] = Path(above, name).read_bytes()
        return cls(pickle.dumps(world), disk, frozenset(folders), hash((_canonical(world), _read(disk))))

    def put_back(self, state: Path) -> World:
        """The state folder is again what it was; so is what is returned."""
        shutil.rmtree(state, ignore_errors=True)
        for folder in sorted(self.folders):
            (state / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, content in self.disk.items():
            path = state / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(content)
        found: World = pickle.loads(self.world)
        return found


def _read(disk: Mapping[str, bytes]) -> object:
    """What of it makes another state: not what nobody reads, or only while the process that wrote it lives.

    That is what a person reads, who holds a claim, and what a write that was interrupted has left: the next one
    empties it. That a folder has such a thing does make another state, since a folder that is removed must be empty.
    """
    found: dict[str, bytes] = {}
    for name, content in disk.items():
        path = Path(name)
        if path.name.startswith(".") and path.suffix == ".new":
            found[f"{path.parent}/.new"] = b""
        elif path.parts[0] != "claims":
            found[name] = b"" if path.name in _FOR_A_PERSON else content
    return tuple(sorted(found.items()))


def _canonical(value: object) -> object:
    """Equal for equal states, whatever the order in which they came about."""
    if isinstance(value, dict):
        return tuple(sorted((key, _canonical(inner)) for key, inner in value.items()))
    if isinstance(value, list):
        return tuple(map(_canonical, value))
    if isinstance(value, Files):  # what lies elsewhere never changes; `differences` looks at everything all the same
        run, etc = value.root.names["run"], value.root.names["etc"]
        assert isinstance(etc, Folder)
        assert isinstance(run, Folder)
        changed = [etc.names[name] for name in ("systemd", "haproxy", "sudoers.d") if name in etc.names]
        if isinstance(stored := value.root.names.get("srv"), Folder):
            changed.append(stored)
        return (_tree(run), *(_tree(each) for each in changed if isinstance(each, Folder)), _canonical(value.mounts))
    if isinstance(value, Init):
        return tuple(sorted((name, repr(unit)) for name, unit in value.units.items() if unit != Running())) + tuple(
            sorted((name, repr(loaded)) for name, loaded in value.loaded.items())
        )
    if is_dataclass(value) and not isinstance(value, type):
        return (type(value).__name__, *(_canonical(getattr(value, each.name)) for each in fields(value)))
    return value


def _tree(folder: Folder) -> object:
    found: list[object] = []
    for name in sorted(folder.names):
        node = folder.names[name]
        found.append((name, _tree(node) if isinstance(node, Folder) else repr(node)))
    return tuple(found)
