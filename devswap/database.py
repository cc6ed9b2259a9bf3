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
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from urllib.parse import parse_qs, unquote

from devswap import process, systemd
from devswap.configuration import Configuration
from devswap.errors import CommandFailed, DevswapError, MachineGone
from devswap.journal import flush_folder
from devswap.machine import Machine, while_running
from devswap.masking import mask
from devswap.migrations import MIGRATE

_READ_PASSWORD = 'IFS= read -r MYSQL_PWD; export MYSQL_PWD; exec "$@"'  # noqa: S105 - the way a password takes, not one
_FOLDERS = ("/usr/bin", "/usr/local/bin", "/usr/local/mysql/bin")
_TOOLS = (("mariadb", "mariadb-dump"), ("mysql", "mysqldump"))
_END_MARK = b"-- Dump completed"
_COUNTERS = re.compile(r" AUTO_INCREMENT=\d+")
_CHUNK = 1 << 18
_QUIET_LOOKS = 3
# SQLAlchemy's own pattern (engine/url.py); the password goes up to the last @, since people do not always escape one.
_URL = re.compile(
    r"(?P<dialect>[\w+]+)://"
    r"(?:(?P<user>[^:/@]*)(?::(?P<password>.*))?@)?"
    r"(?:\[(?P<ipv6>[^\]/?@]+)\]|(?P<host>[^/:?@]*))?(?::(?P<port>\d*))?"
    r"(?:/(?P<name>[^?@]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Url:
    """A SQLAlchemy connection URL, taken apart. Not printed whole anywhere: it holds the password."""

    user: str
    password: str
    host: str
    port: int
    name: str
    certificate_authority: str | None
    socket: str | None = None
    """A socket in the file system of the machine whose configuration it is; then there is no host."""
    on: str = ""
    """The address of that machine, where the URL means the machine itself."""

    def __repr__(self) -> str:
        return f"{self.name} on {self.socket or f'{self.host}:{self.port}'}"

    @property
    def is_local(self) -> bool:
        """It means the machine that it is read in: another machine's server of that name is another one."""
        return self.socket is not None or self.host in ("", *_LOOPBACK)


def parse(url: str) -> Url:
    """Raises DevswapError for a database that devswap cannot dump, by its name; the URL's text is never shown."""
    kind, separator, _ = url.partition("://")
    dialect, _, driver = kind.partition("+")
    if not separator or dialect not in ("mysql", "mariadb"):
        named = dialect if separator else "unknown"
        raise DevswapError(f"cannot save a database of kind {named!r}: MariaDB and MySQL are supported")
    parts = _URL.fullmatch(url)
    if parts is None or not parts["name"]:
        raise DevswapError(
            "cannot read the database's URL: it is not of the form mysql://user:password@host:port/name",
            hint="signs that mean something in a URL are written as %XX in its password",
        )
    options = parse_qs(parts["query"] or "")
    socket = next(iter(options.get("unix_socket", [])), None)
    host = parts["ipv6"] or parts["host"] or "localhost"
    if host == "localhost" and driver != "mysqldb" and driver:
        host = "127.0.0.1"  # only the C library takes this name for its socket; the client tools do as well
    return Url(
        user=unquote(parts["user"] or ""),
        password=unquote(parts["password"] or ""),
        host="" if socket else host,
        port=int(parts["port"] or 3306),
        name=unquote(parts["name"]),
        certificate_authority=next(iter(options.get("ssl_ca", [])), None),
        socket=socket,
    )


def verify(dump: Path) -> None:
    """Read `dump` to its end, where gzip keeps its checksum; raises DevswapError unless it is whole."""
    try:
        with gzip.open(dump, "rb") as packed:
            tail = b""
            while chunk := packed.read(_CHUNK):
                tail = (tail + chunk)[-200:]
    except (OSError, EOFError, zlib.error) as error:
        raise DevswapError(f"cannot load the dump {dump}: {error}") from error
    if _END_MARK not in tail:
        raise DevswapError(f"cannot load the dump {dump}: its end is missing")


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

        Raises DevswapError if the tool fails or the dump lacks its end marker; nothing is left of it then.
        """
        part = target.with_name(target.name + ".part")
        try:
            self._dump(part)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        flush_folder(target.parent)

    def _dump(self, part: Path) -> None:
        how = ("--single-transaction", "--skip-lock-tables", "--skip-add-locks", "--quick", "--hex-blob")
        argv = self._argv(self._dumper, *how, *self._common(), self._url.name)
        with part.open("wb") as raw:
            part.chmod(0o600)
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as packed:
                tail = self._stream_out(argv, packed)
            raw.flush()
            if _END_MARK not in tail:
                raise DevswapError(f"cannot dump {self._url}: the dump is not complete")
            os.fsync(raw.fileno())

    def load(self, dump: Path) -> None:
        """Make the database what `dump` holds: every table is dropped first, since a dump does not know newer ones.

        Raises DevswapError before anything is dropped if `dump` is not whole.
        """
        verify(dump)
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
        """Wait until each client at work now is gone or idle: the server goes on after its client was killed.

        A client with more than one statement before it rests for an instant after each; an idle one rests for longer.
        """
        deadline = time.monotonic() + seconds
        rests = dict.fromkeys(self.running_statements(), 0)
        while rests:
            time.sleep(0.1)
            now = self.running_statements()
            rests = {thread: 0 if thread in now else count + 1 for thread, count in rests.items()}
            rests = {thread: count for thread, count in rests.items() if count < _QUIET_LOOKS}
            busy = [now[thread] for thread in rests if thread in now]
            if busy and time.monotonic() > deadline:
                raise DevswapError(f"the database {self._url} still works on {mask(busy[0])[:200]!r}")

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
        where = [*_where(url), f"--user={url.user}"]
        authority = url.certificate_authority
        secure = [f"--ssl-ca={authority}"] if authority and self.machine.exists(authority) else []
        # No option file of the machine's root: its user and password would win over nothing, its host over ours.
        return ["sh", "-c", _READ_PASSWORD, "sh", tool, "--no-defaults", *where, *secure, *arguments]

    def _common(self) -> list[str]:
        """--no-tablespaces: MySQL 8 asks for a global privilege otherwise, which service accounts do not have.

        What is loose is MySQL's alone, and passed over by MariaDB's tools: its GTIDs ask for a privilege on the load,
        and its statistics for a table that older servers have not.
        """
        mysql = ["--loose-set-gtid-purged=OFF", "--loose-column-statistics=0"]
        return ["--no-tablespaces", "--default-character-set=utf8mb4", *mysql]


def _where(url: Url) -> list[str]:
    if url.socket:
        return ["--protocol=socket", f"--socket={url.socket}"]
    if not url.host:
        return []  # the socket that the client itself thinks of
    protocol = [] if url.host == "localhost" else ["--protocol=tcp"]
    return [f"--host={url.host}", f"--port={url.port}", *protocol]


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
        """Raises DevswapError where the database is not reached, with what to start where its machine is stopped.

        Where the service's machine is gone, and the password with it, the server's own root account is tried.
        """
        client = machine(self.client)
        if not client.is_running():
            raise DevswapError(
                f"cannot reach the database {self.name}: {client.address} is not running",
                hint=f"start it: lxc-start -n {client.name}",
            )
        try:
            return connect(read_url(machine(self.on), self), [client])
        except MachineGone:
            url = Url(user="root", password="", host="", port=0, name=self.name, certificate_authority=None)
        found = connect(url, [client])
        if found.server() != self.server:
            raise DevswapError(f"cannot reach the database {self.name} of {self.on}: {self.client} has another one")
        return found


def read_url(machine: Machine, source: Source) -> Url:
    options = Configuration.of(machine, source.config_files, systemd.environment(machine, source.unit))
    url = options.get(source.group, source.option)
    if not url:
        where = ", ".join(source.config_files) or "its configuration"
        raise DevswapError(f"cannot find the database: [{source.group}] {source.option} is not set in {where}")
    parsed = parse(url)
    return replace(parsed, on=machine.address) if parsed.is_local else parsed


def same(first: Url, second: Url) -> bool:
    """Whether both are the same schema of the same server; accounts may differ."""
    return all(getattr(first, part) == getattr(second, part) for part in ("on", "socket", "host", "port", "name"))


def connect(url: Url, machines: Iterable[Machine]) -> Database:
    """The database through the first of `machines` that has the tools and reaches it; often only its own container has.

    A URL that means the service's own machine is tried there only, and that is the first. Raises DevswapError with what
    was tried.
    """
    tried = []
    for machine in islice(machines, 1) if url.is_local else machines:
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
