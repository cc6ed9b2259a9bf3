"""Where the catalogue's entries come from: devswap's own files, then the host's, then the user's; later ones win.

A file says what it adds or what is different: tables are laid over each other, anything else takes the earlier one's
place. What a file of a home may name is less than what root's may: see docs/catalogue.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from devswap import believed, schema
from devswap.errors import UsageError
from devswap.service import Catalogue, Service, services_of, shipped

SYSTEM_FOLDER = Path("/etc/devswap/services")
OWN = "devswap"
"""What the files that came with devswap are called."""


@dataclass(frozen=True)
class _File:
    place: str
    read: dict[str, Any]
    of_home: bool = False


def load(home: Path | None, *, trusted: frozenset[int], system: Path = SYSTEM_FOLDER) -> Catalogue:
    """Every service known here. `trusted` are the uids whose files in the home are believed.

    Raises UsageError that names the file for what is wrong in one.
    """
    files = [_File(OWN, read) for read in shipped()]
    files += [_File(place, read) for place, read in _own(system, frozenset({0}))]
    if home is not None:
        own = home / ".config/devswap/services"
        of_home = trusted != {0}  # root's own home is root's word as well
        folders = {path.rpartition("/")[0] for file in files for path in file.read.get("config", ())}
        for place, read in _own(own, trusted):
            if of_home:
                schema.check_of_home(place, read, folders)
            files.append(_File(place, read, of_home))
    return Catalogue(_built(files))


def _own(folder: Path, trusted: frozenset[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        paths = sorted(folder.glob("*.toml"))
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}") from error
    for path in paths:
        read = believed.read(path, trusted)
        if read is not None:
            schema.check(str(path), read)
            if "project" not in read:
                raise UsageError(f"the catalogue file {path} lacks 'project'", hint='project = "heat" says whose it is')
            yield str(path), read


def _built(files: list[_File]) -> Iterator[Service]:
    of_project: dict[str, list[_File]] = defaultdict(list)
    for file in files:
        of_project[file.read["project"]].append(file)
    known: dict[str, Service] = {}
    for told in of_project.values():
        whole: dict[str, Any] = {}
        for file in told:
            whole = _laid_over(whole, file.read)
        for service in services_of(told[-1].place, whole):
            if service.name in known:
                whose, where = known[service.name].project, known[service.name].origins[-1]
                raise UsageError(
                    f"{told[-1].place} has the service {service.name}, which is {whose}'s in {where}",
                    hint="give it another name",
                )
            known[service.name] = service = _marked(service, told)
            yield service


def _marked(service: Service, told: list[_File]) -> Service:
    """With the files that say something of it: those with its table, and those with more than tables of others."""
    whole = [file for file in told if file.read.keys() - {"project", "service"}]
    own = [file for file in told if service.name in file.read.get("service", {}) or file in whole]
    return replace(service, origins=tuple(file.place for file in own), of_home=any(file.of_home for file in own))


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    laid = dict(below)
    for key, value in above.items():
        tables = isinstance(value, dict) and isinstance(below.get(key), dict)
        laid[key] = _laid_over(below[key], value) if tables else value
    return laid
