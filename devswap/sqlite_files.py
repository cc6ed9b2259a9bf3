"""The SQLite databases that a service keeps on its storage devices: looked at, copied, and put back.

Nothing of a checkout is run for that but a file of devswap's own (sqlite_inside.py), by production's Python as the
service's user, who owns them: as root it would follow that user's links.
"""

from __future__ import annotations

import gzip
import json
import os
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Any

from devswap import frozen, process, systemd
from devswap.errors import CommandFailed, DevswapError
from devswap.journal import flush_folder, naming
from devswap.machine import Machine
from devswap.sqlite_inside import END, IN_USE, NOTED, PENDING

_SECONDS = 1800.0
_DIFFERS = 3  # see sqlite_inside.py
_CHUNK = 1 << 18
_ANY_PYTHON = "/usr/bin/python3"


class InUse(DevswapError):
    """Somebody has one of them locked, and does not let go."""


@dataclass(frozen=True)
class SqliteFiles:
    """Those below `folder` that have one of `patterns`."""

    on: str
    python: str
    user: str
    group: str
    folder: str
    patterns: tuple[str, ...]

    @property
    def name(self) -> str:
        """What all swaps that change them share them under."""
        return f"SQLite databases {', '.join(self.patterns)} in {self.folder} of {self.on}"

    @property
    def names(self) -> frozenset[str]:
        """What they are claimed by: see database_claims.py."""
        return frozenset([self.name])

    def look(self, machine: Machine) -> dict[str, dict[str, Any]]:
        """Schema, columns and size of each by its path below the folder."""
        return self._ask(machine, "look", {})

    def differing(self, machine: Machine, captured: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Those that are not as captured, with the number of rows in each table and whether they are new.

        Raises InUse where one is locked for too long.
        """
        return self._ask(machine, "differing", captured)

    def copy(self, machine: Machine, target: Path, *, only: Sequence[str] | None = None) -> dict[str, Any]:
        """Write all, or `only` some, to the archive `target`, which is there only when it is whole and on disk.

        What it has, each as `differing` tells it. Writers wait while theirs is copied; readers do not.
        """
        part = target.with_name(target.name + ".part")
        try:
            with naming(part), part.open("wb") as file:
                part.chmod(0o600)
                asked = self.asked({}, only=only)
                self._run(machine, "copy", asked, stdout=file)
                file.flush()
                os.fsync(file.fileno())
            found = contents(part)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        flush_folder(target.parent)
        return found

    def put_back(
        self, machine: Machine, unit: str, archive: Path, captured: Mapping[str, Any], only: Sequence[str]
    ) -> None:
        """Make those of `only` that differ what they are in the archive; new ones go.

        It runs as `unit`, so that what a killed devswap leaves of it can be ended. Raises DevswapError before anything
        is changed if the archive is not whole.
        """
        contents(archive)
        argv = systemd.unit_argv(unit, self.argv(machine, "put-back"), user=self.user, group=self.group)
        with archive.open("rb") as source, frozen.streaming(machine, argv) as (tool, watch):
            assert tool.stdin is not None and tool.stderr is not None  # noqa: S101, PT018
            asked = self.asked(captured, only=only).encode()
            watch.fill(tool.stdin, chain([asked], iter(partial(source.read, _CHUNK), b"")))
            complaint = b"".join(watch.read(tool.stderr)).decode(errors="replace")
        if tool.returncode != 0:
            raise DevswapError(f"cannot put the {self.name} back: {complaint.strip() or 'it was ended'}")

    def asked(self, captured: Mapping[str, Any], *, only: Sequence[str] | None = None) -> str:
        """The line that the program in the machine reads first."""
        asked = {"folder": self.folder, "patterns": self.patterns, "captured": captured}
        return json.dumps(asked if only is None else {**asked, "only": list(only)}) + "\n"

    def argv(self, machine: Machine, what: str) -> list[str]:
        """Production may have been upgraded meanwhile, and its virtualenv be another one."""
        python = self.python if machine.exists(self.python) else _ANY_PYTHON
        return [python, "-I", "-S", "-c", script(), what]

    def _ask(self, machine: Machine, what: str, captured: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        told: dict[str, dict[str, Any]] = json.loads(self._run(machine, what, self.asked(captured)).stdout)
        return told

    def _run(self, machine: Machine, what: str, asked: str, **streams: Any) -> process.Result:
        try:
            argv = self.argv(machine, what)
            return machine.run(argv, ok=(0, _DIFFERS), input=asked, user=self.user, timeout=_SECONDS, **streams)
        except CommandFailed as error:
            kind = InUse if error.result.code == IN_USE else DevswapError
            raise kind(f"cannot read the {self.name}: {error.result.tail}", hint=error.hint) from error


def from_json(read: Mapping[str, Any]) -> SqliteFiles:
    """As a journal has it."""
    return SqliteFiles(**{**read, "patterns": tuple(read["patterns"])})


def script() -> str:
    """What runs in the machine."""
    return resources.files("devswap").joinpath("sqlite_inside.py").read_text(encoding="utf-8")


def contents(archive: Path) -> dict[str, Any]:
    """What was noted of each database in it; raises DevswapError unless it is whole."""
    found: dict[str, Any] = {}
    last = ""
    try:
        with gzip.open(archive, "rb") as packed:
            with tarfile.open(fileobj=packed, mode="r|") as members:
                for member in members:
                    last = member.name
                    if last != END and not last.endswith(PENDING):
                        found[last] = json.loads(member.pax_headers[NOTED])
            while packed.read(_CHUNK):  # to its end, where gzip keeps its checksum
                pass
    except (OSError, EOFError, KeyError, ValueError, zlib.error, tarfile.TarError) as error:
        raise DevswapError(f"cannot use the archive {archive}: {error}") from error
    if last != END:
        raise DevswapError(f"cannot use the archive {archive}: its end is missing")
    return found
