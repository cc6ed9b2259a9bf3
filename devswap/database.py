"""A project's MariaDB or MySQL database, through the tools of whichever machine has them.

Passwords reach the tools through a shell that reads them from standard input into the environment: they are on no
command line, in no file and in no log.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from devswap import process, systemd
from devswap.configuration import Configuration
from devswap.errors import CommandFailed, DevswapError, MachineGone
from devswap.machine import Machine, while_running
from devswap.migrations import MIGRATE

_READ_PASSWORD = 'IFS= read -r MYSQL_PWD; export MYSQL_PWD; exec "$@"'  # noqa: S105 - the way a password takes, not one
_FOLDERS = ("/usr/bin", "/usr/local/bin", "/usr/local/mysql/bin")
_TOOLS = (("mariadb", "mariadb-dump"), ("mysql", "mysqldump"))
_END_MARK = b"-- Dump completed"
_COUNTERS = re.compile(r" AUTO_INCREMENT=\d+")
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Url:
    """A SQLAlchemy connection URL, taken apart. Not printed whole anywhere: it holds the password."""

    user: str
    password: str
    host: str
    port: int
    name: str
    certificate_authority: str | None

    def __repr__(self) -> str:
        return f"{self.name} on {self.host}:{self.port}"


def parse(url: str) -> Url:
    """Raises DevswapError for a database that devswap cannot dump, by its name."""
    parts = urlsplit(url)
    dialect = parts.scheme.partition("+")[0]
    if dialect not in ("mysql", "mariadb"):
        raise DevswapError(f"cannot save a database of kind {dialect or 'unknown'!r}: MariaDB and MySQL are supported")
    options = parse_qs(parts.query)
    return Url(
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        host=parts.hostname or "localhost",
        port=parts.port or 3306,
        name=parts.path.lstrip("/"),
        certificate_authority=next(iter(options.get("ssl_ca", [])), None),
    )


class Database:
    """One schema, reached from `machine`, which has the client and the dump tool."""

    def __init__(self, machine: Machine, url: Url, *, client: str, dumper: str) -> None:
        self.machine = machine
        self._url = url
        self._client = client
        self._dumper = dumper

    def query(self, sql: str) -> list[list[str]]:
        """The rows as text; NULL is the word NULL."""
        argv = self._argv(self._client, "--batch", "--skip-column-names", "--raw", self._url.name)
        result = self._run(argv, sql)
        return [line.split("\t") for line in result.splitlines()]

    def server(self) -> str:
        """What the server calls itself: the name of the host that it runs on."""
        return self.query("SELECT @@hostname")[0][0]

    def revisions(self) -> list[str]:
        """What alembic (or sqlalchemy-migrate) noted; none for a database nobody migrated yet."""
        tables = {row[0] for row in self.query("SHOW TABLES")}
        if "alembic_version" in tables:
            return sorted(row[0] for row in self.query("SELECT version_num FROM alembic_version"))
        if "migrate_version" in tables:
            return sorted(f"{MIGRATE} {row[0]}" for row in self.query("SELECT version FROM migrate_version"))
        return []

    def schema(self) -> str:
        """A hash of every table's definition; rows and their counters leave it alone."""
        argv = self._argv(self._dumper, "--no-data", "--compact", "--skip-comments", *self._common(), self._url.name)
        text = _COUNTERS.sub("", self._run(argv, ""))
        return hashlib.sha256(text.encode()).hexdigest()

    def size(self) -> int:
        """Bytes of rows and indexes, as the server estimates them."""
        sql = "SELECT COALESCE(SUM(data_length), 0) FROM information_schema.tables WHERE table_schema = DATABASE()"
        return int(float(self.query(sql)[0][0]))

    def rows(self) -> dict[str, int]:
        """Exact number of rows by table."""
        counts = [
            f"SELECT '{name}', COUNT(*) FROM {_identifier(name)}"  # noqa: S608 - names from the server, quoted
            for name in self._tables("BASE TABLE")
            if "'" not in name
        ]
        return {row[0]: int(row[1]) for row in self.query(" UNION ALL ".join(counts))} if counts else {}

    def dump(self, target: Path) -> None:
        """Write the whole database to `target`, compressed; `target` exists only when it is complete and on disk.

        Raises DevswapError if the tool fails or the dump lacks its end marker.
        """
        part = target.with_name(target.name + ".part")
        argv = self._argv(
            self._dumper, "--single-transaction", "--quick", "--hex-blob", *self._common(), self._url.name
        )
        with part.open("wb") as raw:
            part.chmod(0o600)
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as packed:
                tail = self._stream_out(argv, packed)
            raw.flush()
            if _END_MARK not in tail:
                raise DevswapError(f"cannot dump {self._url}: the dump is not complete")
            os.fsync(raw.fileno())
        part.replace(target)

    def load(self, dump: Path) -> None:
        """Make the database what `dump` holds: every table is dropped first, since a dump does not know newer ones."""
        self._drop_all()
        argv = self._argv(self._client, "--batch", self._url.name)
        with gzip.open(dump, "rb") as packed:
            self._stream_in(argv, packed)

    def running_statements(self) -> dict[str, str]:
        """What the server is working on in this schema for this user, by thread; our own question is left out."""
        sql = (
            "SELECT id, REPLACE(COALESCE(info, state), CHAR(10), ' ') FROM information_schema.processlist "
            "WHERE db = DATABASE() AND command <> 'Sleep' AND id <> CONNECTION_ID()"
        )
        return {row[0]: row[-1] for row in self.query(sql)}

    def wait_for_statements(self, *, seconds: float) -> None:
        """Wait until each statement that runs now has ended: the server goes on after its client was killed."""
        before = self.running_statements()
        deadline = time.monotonic() + seconds
        while before:
            now = self.running_statements()
            before = {thread: text for thread, text in before.items() if now.get(thread) == text}
            if before and time.monotonic() > deadline:
                raise DevswapError(f"the database {self._url} still works on {next(iter(before.values()))!r}")
            time.sleep(0.2 if before else 0)

    def _drop_all(self) -> None:
        statements = ["SET FOREIGN_KEY_CHECKS = 0"]
        statements += [f"DROP VIEW IF EXISTS {_identifier(name)}" for name in self._tables("VIEW")]
        statements += [f"DROP TABLE IF EXISTS {_identifier(name)}" for name in self._tables("BASE TABLE")]
        self.query(";\n".join(statements))

    def _tables(self, kind: str) -> list[str]:
        return [row[0] for row in self.query(f"SHOW FULL TABLES WHERE Table_type = '{kind}'")]

    def _run(self, argv: list[str], standard_input: str) -> str:
        try:
            result = self.machine.run(argv, input=f"{self._url.password}\n{standard_input}", timeout=600)
        except CommandFailed as error:
            raise DevswapError(f"cannot ask the database {self._url}: {error.result.tail}") from error
        return result.stdout

    def _stream_out(self, argv: list[str], target: gzip.GzipFile) -> bytes:
        """Copy what `argv` writes to `target`, and return its last bytes."""
        tail = b""
        with self.machine.popen(argv, stdin=process.PIPE, stdout=process.PIPE, stderr=process.PIPE) as tool:
            assert tool.stdin is not None and tool.stdout is not None and tool.stderr is not None  # noqa: S101, PT018
            tool.stdin.write(f"{self._url.password}\n".encode())
            tool.stdin.close()
            while chunk := tool.stdout.read(_CHUNK):
                target.write(chunk)
                tail = (tail + chunk)[-200:]
            complaint = tool.stderr.read().decode(errors="replace")
        if tool.returncode != 0:
            raise DevswapError(f"cannot dump {self._url}: {complaint.strip()}")
        return tail

    def _stream_in(self, argv: list[str], source: gzip.GzipFile) -> None:
        with self.machine.popen(argv, stdin=process.PIPE, stdout=process.DEVNULL, stderr=process.PIPE) as tool:
            assert tool.stdin is not None and tool.stderr is not None  # noqa: S101, PT018
            try:
                tool.stdin.write(f"{self._url.password}\n".encode())
                while chunk := source.read(_CHUNK):
                    tool.stdin.write(chunk)
                tool.stdin.close()
            except BrokenPipeError:
                pass  # the client gave up: its exit code and its words below tell why
            complaint = tool.stderr.read().decode(errors="replace")
        if tool.returncode != 0:
            raise DevswapError(f"cannot load {self._url}: {complaint.strip()}")

    def _argv(self, tool: str, *arguments: str) -> list[str]:
        url = self._url
        where = [f"--host={url.host}", f"--port={url.port}"] if url.host else []  # without: the server's own socket
        where.append(f"--user={url.user}")
        authority = url.certificate_authority
        secure = [f"--ssl-ca={authority}"] if authority and self.machine.exists(authority) else []
        # No option file of the machine's root: its user and password would win over nothing, its host over ours.
        return ["sh", "-c", _READ_PASSWORD, "sh", tool, "--no-defaults", *where, *secure, *arguments]

    def _common(self) -> list[str]:
        """--no-tablespaces: MySQL 8 asks for a global privilege otherwise, which service accounts do not have."""
        return ["--no-tablespaces", "--default-character-set=utf8mb4"]


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


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

    def open(self, machine: Callable[[str], Machine]) -> Database:
        """Raises DevswapError where the database is not reached.

        Where the service's machine is gone, and the password with it, the server's own root account is tried.
        """
        try:
            return connect(read_url(machine(self.on), self), [machine(self.client)])
        except MachineGone:
            url = Url(user="root", password="", host="", port=0, name=self.name, certificate_authority=None)
        found = connect(url, [machine(self.client)])
        if found.server() != self.server:
            raise DevswapError(f"cannot reach the database {self.name} of {self.on}: {self.client} has another one")
        return found


def read_url(machine: Machine, source: Source) -> Url:
    options = Configuration.of(machine, source.config_files, systemd.environment(machine, source.unit))
    url = options.get(source.group, source.option)
    if not url:
        where = ", ".join(source.config_files) or "its configuration"
        raise DevswapError(f"cannot find the database: [{source.group}] {source.option} is not set in {where}")
    return parse(url)


def same(first: Url, second: Url) -> bool:
    """Whether both are the same schema of the same server; accounts may differ."""
    return (first.host, first.port, first.name) == (second.host, second.port, second.name)


def connect(url: Url, machines: Iterable[Machine]) -> Database:
    """The database through the first of `machines` that has the tools and reaches it; often only its own container has.

    Raises DevswapError with what was tried.
    """
    tried = []
    for machine in machines:
        for client, dumper in while_running(machine, _tools) or ():
            database = Database(machine, url, client=client, dumper=dumper)
            try:
                database.query("SELECT 1")
            except DevswapError as error:
                tried.append(f"{machine.name}: {error.message}")
                break
            return database
    raise DevswapError(
        f"cannot save the database {url}: "
        + ("; ".join(tried) or "no machine of this cloud has mariadb-dump or mysqldump"),
        hint="install the client where the service runs: apt-get install mariadb-client",
    )


def connect_at_server(url: Url, machines: Sequence[Machine]) -> Database:
    """Like `connect`, through the server's own machine where that can be: any other may belong to another cloud."""
    found = connect(url, machines)
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
