"""Where a project's database is: whose configuration names it, and which machine has the tools that reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from devswap import unit_environment
from devswap.configuration import Configuration
from devswap.database import Database
from devswap.database_url import Url, filled, parse
from devswap.errors import DevswapError, MachineGone
from devswap.machine import Machine, while_running

_FOLDERS = ("/usr/bin", "/usr/local/bin", "/usr/local/mysql/bin")
_TOOLS = (("mariadb", "mariadb-dump"), ("mysql", "mysqldump"))


@dataclass(frozen=True)
class Listed:
    """A row of one database that holds the URL of another: nova_api knows the cells."""

    table: str
    key: str
    column: str
    """The URL's."""
    value: str
    """Of `key`, which tells the row."""
    group: str
    """With `option`: the URL that fills in what the row's leaves open, where that is a template."""
    option: str


@dataclass(frozen=True)
class Source:
    """Where the URL of a service's database stands; the URL itself holds a password and is read when needed."""

    on: str
    """The address of the machine whose configuration it is."""
    unit: str
    config_files: tuple[str, ...]
    group: str
    option: str
    client: str
    """The address of the machine that has the tools."""
    name: str
    """The schema's."""
    address: str
    """Host and port, which with the name tell one database from another."""
    server: str = ""
    """What the server calls itself: the clouds of one host have databases of the same name."""
    listed: Listed | None = None
    """Where the URL stands in the database that group and option lead to."""

    def open(self, machine: Callable[[str], Machine]) -> Database:
        """Raises DevswapError where the database is not reached, with what to start where its machine is stopped.

        Where the service's machine is gone, and the password with it, the server's own root account is tried.
        """
        try:
            client = machine(self.client)
        except MachineGone as error:
            if self._is_in(self.client):
                raise
            raise DevswapError(
                f"cannot reach the database {self.name} at {self.address}: {error.message}, and its tools were there",
                hint="--keep-database leaves it as it is",
            ) from error
        if not client.is_running():
            raise DevswapError(
                f"cannot reach the database {self.name}: {client.address} is not running",
                hint=f"start it: lxc-start -n {client.name}",
            )
        try:
            return connect(self._url(machine(self.on), client), [client])
        except MachineGone:
            url = Url(user="root", password="", host="", port=0, name=self.name)
        found = connect(url, [client])
        if found.server() != self.server:
            raise DevswapError(f"cannot reach the database {self.name} of {self.on}: {self.client} has another one")
        return found

    def text(self, machine: Callable[[str], Machine]) -> str:
        """Its URL as the service itself reads it, password and all."""
        here = machine(self.on)
        if self.listed is None:
            return options_of(here, self).get(self.group, self.option) or ""
        row = self._row(read_url(here, self), here, machine(self.client), self.listed)
        return text_of(here, self, self.listed, row)

    def _url(self, here: Machine, client: Machine) -> Url:
        url = read_url(here, self)
        if self.listed is None:
            return url
        return url_of(here, self, self.listed, self._row(url, here, client, self.listed))

    def _row(self, url: Url, here: Machine, client: Machine, listed: Listed) -> str:
        """What it has of this one, asked of the database at `url`."""
        index = connect(url, [here] if url.is_local else [client, here])
        for value, text in rows_of(index, listed):
            if value == listed.value:
                return text
        raise DevswapError(
            f"cannot find the database {self.name}: {listed.table} of {url.name} has it no more",
            hint="--keep-database leaves it as it is",
        )

    def is_same_as(self, other: Source) -> bool:
        """Whether both lead to one schema of one server, whatever that is called."""
        return not self.names.isdisjoint(other.names)

    @property
    def names(self) -> frozenset[str]:
        """What tells it from every other database: two that are the same have one of these in common."""
        there = f"{self.address} of {self.client}" if self.is_loopback else self.address
        return frozenset([f"{self.name} at {there}", *([f"{self.name} on {self.server}"] if self.server else [])])

    @property
    def is_loopback(self) -> bool:
        """The address is of the machine that has the tools."""
        return self.address.rpartition(":")[0] in ("", "localhost", "127.0.0.1", "::1")

    def _is_in(self, address: str) -> bool:
        """Whether the database itself was in the machine at `address`, and went with it."""
        # a host's name may lack the _ that a container's had in 2015
        name = address.partition(":")[2]
        return self.is_loopback or self.server in (name, name.replace("_", "-"))


def from_json(read: Mapping[str, Any]) -> Source:
    """As a journal has it."""
    listed = read.get("listed")
    parts = {"config_files": tuple(read["config_files"]), "listed": Listed(**listed) if listed else None}
    return Source(**{**read, **parts})


def rows_of(index: Database, listed: Listed) -> list[tuple[str, str]]:
    """(key, URL or template) of each row; none where there is no such table, as before nova had cells."""
    if listed.table not in {row[0] for row in index.query("SHOW TABLES")}:
        return []
    sql = f"SELECT `{listed.key}`, `{listed.column}` FROM `{listed.table}` ORDER BY `{listed.key}`"  # noqa: S608 - words
    return [(row[0], row[1]) for row in index.query(sql)]


def url_of(machine: Machine, source: Source, listed: Listed, text: str) -> Url:
    """The URL that a row has as `text`."""
    url = parse(text_of(machine, source, listed, text), machine.read_text)
    return replace(url, on=machine.address) if url.is_local else url


def text_of(machine: Machine, source: Source, listed: Listed, text: str) -> str:
    return filled(text, options_of(machine, source).get(listed.group, listed.option))


def options_of(machine: Machine, source: Source) -> Configuration:
    return Configuration.of(machine, source.config_files, unit_environment.of(machine, source.unit))


def read_url(machine: Machine, source: Source) -> Url:
    return url_in(machine, source, options_of(machine, source))


def url_in(machine: Machine, source: Source, options: Configuration) -> Url:
    """The URL that stands in `options`, which were read in the machine."""
    url = options.get(source.group, source.option)
    if not url:
        where = ", ".join(source.config_files) or "its configuration"
        raise DevswapError(f"cannot find the database: [{source.group}] {source.option} is not set in {where}")
    parsed = parse(url, machine.read_text)
    return replace(parsed, on=machine.address) if parsed.is_local else parsed


def connect(url: Url, machines: Iterable[Machine]) -> Database:
    """The database through the first of `machines` that has the tools and reaches it; often only its own container has.

    A URL that means the service's own machine is tried there only, and that is the first. Raises DevswapError with what
    was tried.
    """
    tried, hint = [], None
    for machine in islice(machines, 1) if url.is_local else machines:
        for client, dumper in while_running(machine, _tools) or ():
            database = Database(machine, url, client=client, dumper=dumper)
            try:
                database.server()
            except DevswapError as error:
                tried.append(f"{machine.name}: {error.message}")
                hint = error.hint or hint
                break
            return database
    raise DevswapError(
        f"cannot save the database {url}: "
        + ("; ".join(tried) or "no machine of this cloud has mariadb-dump or mysqldump"),
        hint=hint or "see that its server runs and lets one of these in"
        if tried
        else "install the client where the service runs: apt-get install mariadb-client",
    )


def connect_at_server(url: Url, machines: Sequence[Machine]) -> Database:
    """Like `connect`, through the server's own machine where that can be: any other may belong to another cloud."""
    found = connect(url, machines)
    if url.is_local:
        return found
    server = found.server()
    for machine in machines:
        if while_running(machine, _host_name) == server:
            try:
                return connect(url, [machine])
            except DevswapError:
                break
    return found


def _host_name(machine: Machine) -> str:
    return (machine.read_text("/etc/hostname") or "").strip()


def _tools(machine: Machine) -> list[tuple[str, str]]:
    """The pairs of client and dump tool that the machine has."""
    return [pair for pair in _TOOLS if all(_has(machine, tool) for tool in pair)]


def _has(machine: Machine, tool: str) -> bool:
    return any(machine.exists(f"{folder}/{tool}") for folder in _FOLDERS)
