"""systemd of a simulated machine: what it loaded from unit files, and what runs."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import lru_cache

from tests.simulated.files import Files

FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/run/systemd/transient", "/lib/systemd/system")
_RESETTABLE = ("ExecStart", "Environment", "EnvironmentFile")


@dataclass
class Loaded:
    """A unit's settings as systemd read them last; a changed file counts only after daemon-reload."""

    fragment: str
    drop_ins: list[str]
    settings: dict[str, list[str]]

    def one(self, name: str, default: str = "") -> str:
        return self.settings.get(name, [default])[-1] if self.settings.get(name) else default


@dataclass
class Running:
    """`todo` is what a unit's program has still to execute: where (server, user, password, schema), and the SQL."""

    active: str = "inactive"
    sub: str = "dead"
    argv: list[str] = field(default_factory=list)
    code: int = 0
    transient: bool = False
    title: str = ""
    """What it renamed its process to."""
    uid: int = 0
    todo: list[tuple[tuple[str, str, str, str], str]] = field(default_factory=list)
    pipe: str = ""
    """The named pipe that it reads until its end."""
    ports: list[tuple[str, int]] = field(default_factory=list)
    """What it listens on: IPv4 address and port."""


@dataclass
class Stray:
    """A process that a unit has left behind."""

    unit: str
    argv: list[str]
    deaf: bool = False
    """It ends by nothing but a kill."""

    def is_of(self, unit: str, folder: str) -> bool:
        return self.unit == unit and any(word.startswith(folder) for word in self.argv)


@dataclass
class Init:
    files: Files
    loaded: dict[str, Loaded] = field(default_factory=dict)
    units: dict[str, Running] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    strays: dict[int, Stray] = field(default_factory=dict)

    def load(self, unit: str) -> Loaded | None:
        """As it is in memory, read from its files when first asked for."""
        if unit not in self.loaded:
            found = self._read(unit)
            if found is None:
                return None
            self.loaded[unit] = found
        return self.loaded[unit]

    def reload(self) -> None:
        for unit in list(self.loaded):
            found = self._read(unit)
            if found is None and self.unit(unit).active in ("inactive", "failed"):
                del self.loaded[unit]
            elif found is not None:
                self.loaded[unit] = found

    def forget(self, unit: str) -> None:
        """An idle unit that nothing refers to is not kept in memory; an enabled one has its target's reference."""
        if self.unit(unit).active == "inactive" and not self.is_enabled(unit):
            self.loaded.pop(unit, None)

    def unit(self, unit: str) -> Running:
        return self.units.setdefault(unit, Running())

    def is_active(self, unit: str) -> bool:
        return unit in self.units and self.units[unit].active == "active"

    def is_enabled(self, unit: str) -> bool:
        return self.files.exists(f"/etc/systemd/system/multi-user.target.wants/{unit}")

    def pid(self, unit: str) -> int:
        """The same for each run of a unit: numbers are nobody's business here."""
        return self.pids.setdefault(unit, 200 + len(self.pids))

    def unit_of(self, pid: int) -> Running | None:
        for unit, number in self.pids.items():
            if number == pid and self.is_active(unit):
                return self.units[unit]
        return None

    def followers(self, unit: str, setting: str) -> list[str]:
        """Those of the units in memory that have `unit` behind `setting`."""
        return sorted(name for name, loaded in self.loaded.items() if unit in loaded.one(setting).split())

    def triggers(self, unit: str) -> list[str]:
        """The sockets in memory that start `unit`."""
        return sorted(name for name, loaded in self.loaded.items() if loaded.one("Service") == unit)

    def names(self) -> list[str]:
        found = {name for folder in FOLDERS for name in self.files.names(folder) if name.endswith(".service")}
        return sorted(found)

    def _read(self, unit: str) -> Loaded | None:
        fragment = next((f"{folder}/{unit}" for folder in FOLDERS if self.files.exists(f"{folder}/{unit}")), None)
        if fragment is None:
            return None
        drop_ins: dict[str, str] = {}
        for folder in reversed(FOLDERS):
            below = f"{folder}/{unit}.d"
            drop_ins |= {name: f"{below}/{name}" for name in self.files.names(below) if name.endswith(".conf")}
        paths = [drop_ins[name] for name in sorted(drop_ins)]
        settings: dict[str, list[str]] = {}
        for path in [fragment, *paths]:
            _add(settings, (self.files.read(path) or b"").decode())
        return Loaded(fragment, paths, settings)


def _add(settings: dict[str, list[str]], text: str) -> None:
    for line in text.splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals or line.lstrip().startswith(("#", ";", "[")):
            continue
        if key in _RESETTABLE and not value:
            settings[key] = []
        elif key in _RESETTABLE:
            settings.setdefault(key, []).append(value)
        else:
            settings[key] = [value]


def words(line: str) -> list[str]:
    """A command line of a unit file in systemd's quoting: %% is a percent sign, and $$ a dollar."""
    return [word.replace("%%", "%").replace("$$", "$") for word in _split(line.lstrip("-+!:@"))]


_split = lru_cache(shlex.split)
"""Thousands of commands read the same few unit files."""


def behind_env(argv: list[str]) -> tuple[list[str], dict[str, str], list[str]]:
    """(the command, settings, names taken out) of a line of env(1), which becomes the command; others stay."""
    if argv[0] != "/usr/bin/env":
        return argv, {}, []
    settings: dict[str, str] = {}
    unset: list[str] = []
    rest = argv[1:]
    while rest and (rest[0] in ("-u", "--") or "=" in rest[0]):
        word = rest.pop(0)
        if word == "-u":
            unset.append(rest.pop(0))
        elif word != "--":
            name, _, settings[name] = word.partition("=")
    return rest, settings, unset
