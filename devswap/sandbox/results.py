"""What `up`, `down` and `status` return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Up:
    """A sandbox that answers; `already` if it did so before. `memory` is in bytes, page cache included."""

    era: str
    prefix: str
    vip: str
    containers: dict[str, str]
    credentials: str
    already: bool
    seconds: float
    memory: int
    next_commands: tuple[str, ...]


@dataclass(frozen=True)
class Down:
    era: str
    removed: tuple[str, ...]
    purged: bool


@dataclass(frozen=True)
class ContainerStatus:
    name: str
    address: str
    running: bool


@dataclass(frozen=True)
class Status:
    """One sandbox as it is now; `complete` says that an `up` came to its end, not that every service answers."""

    era: str
    prefix: str
    network: str
    bridge: str
    complete: bool
    containers: tuple[ContainerStatus, ...]
