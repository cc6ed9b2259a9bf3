"""What can be swapped, as the catalogue describes it: facts that hold on every cloud.

One TOML file per project, `catalogue/PROJECT.toml`, with a table per service. No logic in the data; an unknown key is
an error that names file and key.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from devswap.errors import DevswapError, UsageError


@dataclass(frozen=True)
class Queue:
    """The broker's queue that a service consumes: how to ask whether it serves. `topic`.`host` is the queue's name."""

    topic: str


@dataclass(frozen=True)
class Web:
    """How a service that answers requests is asked, and what a web server runs it by."""

    path: str
    """What any of its versions answers without an account."""
    module: str
    """The module that holds the application; importing it starts the application."""
    group: str
    """Where its own server's bind_host and bind_port are in the configuration, as far as it has one."""
    port: int


@dataclass(frozen=True)
class Database:
    """How a project keeps its database. `option` is (group, option) of its URL in the configuration."""

    group: str
    option: str
    sync: tuple[tuple[str, ...], ...]
    """Commands in order, the first word a console script of the project."""
    migrations: tuple[str, ...]
    """Folders of alembic revisions in the source tree, newest layout first."""
    units: tuple[str, ...]
    """Every unit that writes to it, whether it can be swapped or not: none may while a dump is loaded."""


@dataclass(frozen=True)
class Service:
    """One OpenStack process that can be swapped."""

    name: str
    project: str
    distribution: str
    """The project's name on the package index."""
    package: str
    """The import package that must come from the checkout."""
    units: tuple[str, ...]
    """Names production's unit has been seen under, the usual one first."""
    entry_point: str | None
    """The console script it is started by."""
    check: tuple[str, ...]
    """Modules that pull the service's code in without starting it; entry points import much of it only when called."""
    config: tuple[str, ...]
    """oslo.config's default files, used where production names none on its command line."""
    environment: Mapping[str, str]
    """Settings that development always has (logs on the terminal)."""
    one_worker: Mapping[str, str]
    """Settings that leave one worker process."""
    database: Database | None
    queue: Queue | None
    ports: tuple[int, ...] = ()
    """Where it takes requests, on its machine's own address: by them HAProxy's servers are told to be it."""
    web: Web | None = None


class Catalogue:
    """Every known service by name."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._services = {service.name: service for service in services}

    def __iter__(self) -> Iterator[Service]:
        return iter(self._services.values())

    def get(self, name: str) -> Service:
        """Raises UsageError with near names for a service nobody knows."""
        if name in self._services:
            return self._services[name]
        near = difflib.get_close_matches(name, self._services, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "devswap list shows what can be swapped here"
        raise UsageError(f"unknown service {name!r}", hint=hint)


def load_catalogue() -> Catalogue:
    """The services shipped with devswap."""
    found = []
    for file in sorted(resources.files("devswap.catalogue").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            found += read_project(Path(file.name).name, file.read_text(encoding="utf-8"))
    return Catalogue(found)


_PROJECT_KEYS = {"project", "distribution", "package", "config", "environment", "database", "service"}
_SERVICE_KEYS = {"units", "entry_point", "check", "one_worker", "queue", "web", "environment", "ports"}
_WEB_KEYS = {"path", "module", "group", "port"}
_DATABASE_KEYS = {"group", "option", "sync", "migrations", "units"}


def read_project(file: str, text: str) -> list[Service]:
    """The services in one catalogue file; raises DevswapError that names `file` and what is wrong in it."""
    try:
        project = tomllib.loads(text)
        _known(file, "", project, _PROJECT_KEYS)
        return [_service(file, project, name, table) for name, table in project["service"].items()]
    except tomllib.TOMLDecodeError as error:
        raise DevswapError(f"cannot read the catalogue file {file}: {error}") from error
    except KeyError as error:
        raise DevswapError(f"the catalogue file {file} lacks {error.args[0]!r}") from error


def _service(file: str, project: dict[str, Any], name: str, table: dict[str, Any]) -> Service:
    _known(file, f"service.{name}.", table, _SERVICE_KEYS)
    queue = table.get("queue")
    return Service(
        name=name,
        project=project["project"],
        distribution=project["distribution"],
        package=project["package"],
        units=tuple(table.get("units", [name])),
        entry_point=table.get("entry_point"),
        check=tuple(table["check"]),
        config=tuple(project["config"]),
        environment={**project.get("environment", {}), **table.get("environment", {})},
        one_worker=table.get("one_worker", {}),
        database=_database(file, project["database"]) if "database" in project else None,
        queue=Queue(topic=queue["topic"]) if queue else None,
        ports=tuple(table.get("ports", [])),
        web=_web(file, name, table["web"]) if "web" in table else None,
    )


def _web(file: str, service: str, table: dict[str, Any]) -> Web:
    _known(file, f"service.{service}.web.", table, _WEB_KEYS)
    return Web(path=table["path"], module=table["module"], group=table.get("group", ""), port=table.get("port", 0))


def _database(file: str, table: dict[str, Any]) -> Database:
    _known(file, "database.", table, _DATABASE_KEYS)
    return Database(
        group=table["group"],
        option=table["option"],
        sync=tuple(tuple(command) for command in table["sync"]),
        migrations=tuple(table["migrations"]),
        units=tuple(table["units"]),
    )


def _known(file: str, where: str, table: dict[str, Any], keys: set[str]) -> None:
    for key in table:
        if key not in keys:
            raise DevswapError(f"the catalogue file {file} has an unknown key {where}{key}")


assert {field.name for field in fields(Web)} == _WEB_KEYS  # noqa: S101
assert {field.name for field in fields(Database)} == _DATABASE_KEYS  # noqa: S101 - a new fact needs its key
