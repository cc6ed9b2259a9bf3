"""The development virtualenv: a thin layer over production's packages that holds only what a checkout needs besides.

It sees, in this order: what was installed into it, the checkout, the libraries that are run from checkouts of their
own, production's packages. All of it is made while production serves, below the cache on the host; production's own
files are read and never touched.

    overlay = prepare(machine, request, slot, cache=…, unit=…, say=…)   # from the cache, or built there
    mounts(overlay, request, slot, cache=…)                             # to be mounted before it is used
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devswap import overlay_tools, overlay_version, systemd
from devswap.errors import DevswapError
from devswap.installer import Inside, Installed
from devswap.machine import Machine
from devswap.overlay_build import Build
from devswap.overlay_cache import OverlayCache, Workplace
from devswap.overlay_request import Library, Request, Seen, look
from devswap.slot import Mount, Slot

__all__ = ["Library", "Mounted", "Overlay", "Request", "cached", "ids", "mounted", "mounts", "prepare"]


@dataclass(frozen=True)
class Overlay:
    """A finished overlay on the host, and what was installed into it."""

    folder: Path
    key: str
    installed: tuple[Installed, ...]
    console_scripts: Mapping[str, str]
    """What each script calls: {"heat-engine": "heat.cmd.engine:main"}."""
    libraries: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The import packages that each library brings: {"oslo-messaging": ["oslo_messaging"]}."""


Mounted = Callable[[Machine, Sequence[Mount]], AbstractContextManager[None]]


def cached(machine: Machine, request: Request, *, cache: Path) -> Overlay | None:
    """The overlay, if it was built before from the same things; needs no network and runs nothing."""
    return _read(OverlayCache(cache), look(machine, request).key)


def mounts(overlay: Overlay, request: Request, slot: Slot, *, cache: Path, uid: int, gid: int) -> tuple[Mount, ...]:
    """What must be mounted for the overlay to work, in this order.

    A folder for bytecode is made, writable for the service's user: each checkout's own, since others appear at the same
    place with files of the same age.
    """
    return (
        Mount(request.source, slot.checkout, readonly=True),
        *_library_mounts(slot, request),
        Mount(overlay.folder, slot.overlay, readonly=True),
        _bytecode(request, slot, cache, uid, gid),
    )


def _bytecode(request: Request, slot: Slot, cache: Path, uid: int, gid: int) -> Mount:
    sources = [str(tree.source) for tree in request.trees]
    own = cache / "bytecode" / _digest(*sources, request.interpreter.version, str(uid))
    _own_folder(own, uid, gid)
    return Mount(own, slot.bytecode, readonly=False)


def _library_mounts(slot: Slot, request: Request) -> Iterator[Mount]:
    for library in request.libraries:
        yield Mount(library.source, slot.library(library.name), readonly=True)


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
    seen, store = look(machine, request), OverlayCache(cache)
    if found := _read(store, seen.key):
        return found
    uid, gid = ids(machine, request.user, request.group)
    systemd.stop(machine, unit)  # what a killed devswap left building would write into folders that are swept now
    waiting = lambda whom: say(f"waiting for {whom}, which builds the same overlay")  # noqa: E731
    with store.workplace(seen.key, uid=uid, gid=gid, waiting=waiting) as work:
        if found := _read(store, seen.key):
            return found
        facts = _from_kin(store, seen, request, work)
        if facts is None:
            tools = overlay_tools.folder(cache, request.interpreter.version)
            place = _build_slot(slot)
            bytecode = _bytecode(request, place, cache, uid, gid)
            with mounting(machine, (*_build_mounts(place, request, work, tools), bytecode)):
                inside = Inside(machine, place, unit, request.user, request.group)
                facts = Build(inside, request, seen, say).run()
        folder = store.complete(seen.key, work, facts, kin=seen.kin)
    return _overlay(folder, seen.key, facts)


def _from_kin(store: OverlayCache, seen: Seen, request: Request, work: Workplace) -> dict[str, Any] | None:
    """Another version of the project with the same requirements has the same overlay, but for the version in it."""
    facts = store.copy_kin(seen.kin, work)
    if facts is not None and not facts["own_version"]:
        for each in request.trees:
            overlay_version.change(work.overlay, each.distribution, each.version)
    return facts


def ids(machine: Machine, user: str, group: str) -> tuple[int, int]:
    """The numbers of a user and a group of the machine."""
    return _id(machine, "/etc/passwd", user), _id(machine, "/etc/group", group)


def _id(machine: Machine, path: str, name: str) -> int:
    for line in (machine.read_text(path) or "").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split(":")[2])
    raise DevswapError(f"cannot build for {name} in {machine.name}: its {path} has no such name")


def _read(store: OverlayCache, key: str) -> Overlay | None:
    facts = store.read(key)
    return _overlay(store.path(key), key, facts) if facts else None


def _overlay(folder: Path, key: str, facts: Mapping[str, Any]) -> Overlay:
    installed = tuple(Installed(**each) for each in facts["installed"])
    return Overlay(folder, key, installed, facts["console_scripts"], facts.get("libraries", {}))


def _own_folder(folder: Path, uid: int, gid: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, uid, gid)
    folder.chmod(0o700)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:20]


def _build_slot(slot: Slot) -> Slot:
    folder = posixpath.join(posixpath.dirname(slot.overlay), "building")
    return Slot(checkout=f"{folder}/checkout", overlay=f"{folder}/overlay")


def _build_mounts(place: Slot, request: Request, work: Workplace, tools: Path) -> tuple[Mount, ...]:
    return (
        Mount(request.source, place.checkout, readonly=True),
        *_library_mounts(place, request),
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
