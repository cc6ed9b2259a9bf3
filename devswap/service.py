"""What can be swapped, as the catalogue describes it: facts that hold on every cloud.

One TOML file per project, `catalogue/PROJECT.toml`, with a table per service. No logic in the data; schema.py says what
it may hold, and entries.py lays files of other people over it.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from devswap import schema
from devswap.errors import UsageError


@dataclass(frozen=True)
class Queue:
    """The broker's queue that a service consumes: how to ask whether it serves. `topic`.`host` is the queue's name."""

    topic: str
    backends: str = ""
    """The option that lists what it has a queue each for, `topic`.`host`@BACKEND."""


@dataclass(frozen=True)
class Web:
    """How a service that answers requests is asked, and what a web server runs it by."""

    path: str
    """What any of its versions answers without an account."""
    module: str
    """The module that holds the application; importing it starts the application. None: only its own server runs it."""
    group: str
    """Where its own server's address and bind_port are in the configuration, as far as it has one."""
    port: int
    host: str = "bind_host"
    """The option of its own server's address."""
    hosted: bool = False
    """It is more than an application: files beside it, which only Apache, where that runs it itself, can be told of."""


@dataclass(frozen=True)
class Column:
    """A column of a table, and the one that tells its rows apart."""

    table: str
    key: str
    column: str


@dataclass(frozen=True)
class Index:
    """A second database of a project, which lists the others (nova's API, and its cells); not every cloud has one."""

    group: str
    option: str
    sync: tuple[tuple[str, ...], ...]
    """What comes before the other commands."""
    migrations: tuple[str, ...]
    listed_sync: tuple[tuple[str, ...], ...]
    """What migrates one of those that it lists, told its URL by the environment, as if it were the project's own.

    None where the other commands reach all.
    """
    urls: Column
    """Each row has the URL of one more schema like the project's own, or a template of it."""


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
    index: Index | None = None
    put_back: Column | None = None
    """Of whole numbers that newer code raises, and beside which production's does not start."""


@dataclass(frozen=True)
class Sqlite:
    """Databases of a service's own in files, which newer code alters in place."""

    group: str
    """With `option`: the folder that they are below, in the configuration."""
    option: str
    default: str
    files: tuple[str, ...]
    """Patterns of paths below the folder."""


@dataclass(frozen=True)
class Setting:
    """What an option's value begins with."""

    group: str
    option: str
    begins: tuple[str, ...]
    of_each: str = ""
    """The value lists groups, and it is this option of each of them that begins so."""


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
    """Its default files, used where production names none on its command line."""
    environment: Mapping[str, str]
    """Settings that development always has (logs on the terminal)."""
    one_worker: Mapping[str, str]
    """Settings that leave one worker process."""
    database: Database | None
    queue: Queue | None
    ports: tuple[int, ...] = ()
    """Where it takes requests, on its machine's own address: by them HAProxy's servers are told to be it."""
    web: Web | None = None
    called_by: tuple[str, ...] = ()
    """The services that call it by RPC, and wait for its answers."""
    known_by: tuple[str, ...] = ()
    """Files of which its machine has one: said where the unit may be another's (apache2 runs more than horizon)."""
    remote: str | None = None
    """Where its project's repository is, if it is not among OpenStack's own."""
    outage: str = ""
    """What goes on and what does not while nobody runs it, where it is more than that it does not answer."""
    starts: tuple[str, ...] = ()
    """Programs that it starts besides, which its unit may leave when it is stopped."""
    unsupported: str | None = None
    """Why it cannot be taken over yet, known in advance."""
    supported_where: Setting | None = None
    """What its configuration says where it can be taken over all the same."""
    oslo_config: bool = True
    """Else its configuration is the file that its command line names first, and the environment sets nothing in it."""
    on_terminal: tuple[str, ...] = ()
    """What its program is given besides, so that it logs on the terminal."""
    sqlite: Sqlite | None = None
    """What every service that has the same opens."""
    records: Database | None = None
    """Its project's, where that has what is put back: it leaves the database to others, who write its records there."""
    origins: tuple[str, ...] = ()
    """The files that say something of it, in the order in which they are laid over each other."""
    of_home: bool = False
    """Whether one of them is in the home of a user who is not root."""


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
    """The services that came with devswap; see entries.py for all that are known here."""
    return Catalogue(service for read in shipped() for service in services_of(f"{read['project']}.toml", read))


def shipped() -> Iterator[dict[str, Any]]:
    """What each of devswap's own catalogue files says."""
    for file in sorted(resources.files("devswap.catalogue").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            yield tomllib.loads(file.read_text(encoding="utf-8"))


def read_project(file: str, text: str) -> list[Service]:
    """The services in one catalogue file; raises UsageError that names `file` and what is wrong in it."""
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"cannot read the catalogue file {file}: {error}") from error
    schema.check(file, read)
    return services_of(file, read)


def services_of(file: str, project: Mapping[str, Any]) -> list[Service]:
    """The services that a file, or several laid over each other, tell of; raises UsageError for what lacks."""
    try:
        return [_service(project, name, table) for name, table in project.get("service", {}).items()]
    except KeyError as error:
        raise UsageError(f"the catalogue file {file} lacks {error.args[0]!r}") from error


def _service(project: Mapping[str, Any], name: str, table: Mapping[str, Any]) -> Service:
    database, queue, web = table.get("database", project.get("database")), table.get("queue"), table.get("web")
    others = project.get("database", {}) if database is False else {}
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
        database=_database(database, project) if database else None,
        queue=Queue(topic=queue["topic"], backends=queue.get("backends", "")) if queue else None,
        ports=tuple(table.get("ports", [])),
        web=_web(web) if web else None,
        called_by=tuple(table.get("called_by", [])),
        outage=table.get("outage", ""),
        starts=tuple(table.get("starts", [])),
        known_by=tuple(table.get("known_by", [])),
        remote=project.get("remote"),
        oslo_config=project.get("oslo_config", True),
        on_terminal=tuple(table.get("on_terminal", [])),
        sqlite=_sqlite(table["sqlite"]) if "sqlite" in table else None,
        records=_database(others, project) if "put_back" in others else None,
        unsupported=table.get("unsupported", project.get("unsupported")) or None,
        supported_where=_setting(table["supported_where"]) if "supported_where" in table else None,
    )


def _web(table: Mapping[str, Any]) -> Web:
    return Web(
        path=table["path"],
        module=table.get("module", ""),
        group=table.get("group", ""),
        port=table.get("port", 0),
        host=table.get("host", "bind_host"),
        hosted=table.get("hosted", False),
    )


def _database(table: Mapping[str, Any], project: Mapping[str, Any]) -> Database:
    return Database(
        group=table["group"],
        option=table["option"],
        sync=tuple(tuple(command) for command in table["sync"]),
        migrations=tuple(table["migrations"]),
        units=_writers(table["units"], project.get("service", {})),
        index=_index(table["index"]) if "index" in table else None,
        put_back=_column(table["put_back"]) if "put_back" in table else None,
    )


def _sqlite(table: Mapping[str, Any]) -> Sqlite:
    files = tuple(table["files"])
    return Sqlite(group=table["group"], option=table["option"], default=table["default"], files=files)


def _writers(listed: Sequence[str], services: Mapping[str, Any]) -> tuple[str, ...]:
    """A service that is listed by its name writes under each name that its unit has, wherever that was said."""
    renamed = [unit for name in listed for unit in services.get(name, {}).get("units", [])]
    return tuple(dict.fromkeys([*listed, *renamed]))


def _setting(table: Mapping[str, Any]) -> Setting:
    begins, of_each = tuple(table["begins"]), table.get("of_each", "")
    return Setting(group=table["group"], option=table["option"], begins=begins, of_each=of_each)


def _index(table: Mapping[str, Any]) -> Index:
    return Index(
        group=table["group"],
        option=table["option"],
        sync=tuple(tuple(command) for command in table["sync"]),
        migrations=tuple(table["migrations"]),
        listed_sync=tuple(tuple(command) for command in table.get("listed_sync", ())),
        urls=_column(table),
    )


def _column(table: Mapping[str, Any]) -> Column:
    return Column(table=table["table"], key=table["key"], column=table["column"])
