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
from functools import partial
from itertools import chain
from pathlib import Path

from devswap import frozen, process
from devswap.database_url import Url, where
from devswap.errors import CommandFailed, DevswapError
from devswap.journal import flush_folder, naming
from devswap.machine import Machine
from devswap.masking import mask
from devswap.migrations import MIGRATE

_READ_PASSWORD = 'IFS= read -r MYSQL_PWD; export MYSQL_PWD; exec "$@"'  # noqa: S105 - the way a password takes, not one
_END_MARK = b"-- Dump completed"
_COUNTERS = re.compile(r" AUTO_INCREMENT=\d+")
_CHUNK = 1 << 18
_QUIET_LOOKS = 3
# MySQL has had two names for it; a role's rights are not counted: they need not be in force when a dump is loaded.
_OF_OTHERS = """
SELECT kind, name, definer FROM (
    SELECT 'view' AS kind, table_name AS name, definer FROM information_schema.views WHERE table_schema = DATABASE()
    UNION ALL
    SELECT 'trigger', trigger_name, definer FROM information_schema.triggers WHERE trigger_schema = DATABASE()
) AS made WHERE definer <> CURRENT_USER() AND NOT EXISTS (
    SELECT 1 FROM information_schema.user_privileges
    WHERE privilege_type IN ('SUPER', 'SET USER', 'SET_USER_ID', 'SET_ANY_DEFINER')
    AND REPLACE(grantee, CHAR(39), '') = CURRENT_USER()
) ORDER BY kind, name
"""


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
        self._server: str | None = None

    def query(self, sql: str) -> list[list[str]]:
        """The rows as text; NULL is the word NULL."""
        argv = self._argv(self._client, "--batch", "--skip-column-names", "--raw", self._url.name)
        result = self._run(argv, sql)
        return [line.split("\t") for line in result.splitlines()]

    def server(self) -> str:
        """What the server calls itself: the name of the host that it runs on."""
        if self._server is None:
            self._server = self.query("SELECT @@hostname")[0][0]
        return self._server

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

    def require_loadable(self) -> None:
        """Raise where a dump could not be loaded again: what others have made, a service's account may drop only."""
        found = [f"the {row[0]} {row[1]} of {row[2]}" for row in self.query(_OF_OTHERS)]
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise DevswapError(
                f"cannot bring {self._url} back from a dump: its account may not make {', '.join(found[:3])}{more}",
                hint="as the server's root: GRANT SET USER ON *.* TO that account, on MySQL SET_ANY_DEFINER, before "
                "MariaDB 10.5 SUPER; or take a checkout without a migration",
            )

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
        with naming(part), part.open("wb") as raw:
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
        with frozen.streaming(self.machine, argv, stdout=process.PIPE) as (tool, watch):
            assert tool.stdin is not None and tool.stdout is not None and tool.stderr is not None  # noqa: S101, PT018
            watch.fill(tool.stdin, [self._password])
            for chunk in watch.read(tool.stdout):
                target.write(chunk)
                tail = (tail + chunk)[-200:]
            complaint = b"".join(watch.read(tool.stderr)).decode(errors="replace")
        if tool.returncode != 0:
            raise DevswapError(f"cannot dump {self._url}: {complaint.strip() or 'its client was ended'}")
        return tail

    def _stream_in(self, argv: list[str], source: gzip.GzipFile) -> None:
        with frozen.streaming(self.machine, argv) as (tool, watch):
            assert tool.stdin is not None and tool.stderr is not None  # noqa: S101, PT018
            watch.fill(tool.stdin, chain([self._password], iter(partial(source.read, _CHUNK), b"")))
            complaint = b"".join(watch.read(tool.stderr)).decode(errors="replace")
        if tool.returncode != 0:
            raise DevswapError(f"cannot load {self._url}: {complaint.strip() or 'its client was ended'}")

    @property
    def _password(self) -> bytes:
        """A line, as _READ_PASSWORD has it."""
        return f"{self._url.password}\n".encode()

    def _argv(self, tool: str, *arguments: str) -> list[str]:
        url = self._url
        account = [*where(url), f"--user={url.user}"]
        named = {"ca": url.certificate_authority, "cert": url.certificate, "key": url.key}
        secure = [f"--ssl-{what}={path}" for what, path in named.items() if path and self.machine.exists(path)]
        if not secure:
            # Believing anybody, as the service does: else MariaDB's clients insist on TLS from 11.4 on, whether the
            # server has any or not. Loose: MySQL's do so by themselves, and have no such options.
            secure = [*(["--loose-ssl"] if url.encrypted else []), "--loose-skip-ssl-verify-server-cert"]
        # No option file of the machine's root: its user and password would win over nothing, its host over ours.
        return ["sh", "-c", _READ_PASSWORD, "sh", tool, "--no-defaults", *account, *secure, *arguments]

    def _common(self) -> list[str]:
        """--no-tablespaces: MySQL 8 asks for a global privilege otherwise, which service accounts do not have.

        What is loose is MySQL's alone, and passed over by MariaDB's tools: its GTIDs ask for a privilege on the load,
        and its statistics for a table that older servers have not.
        """
        mysql = ["--loose-set-gtid-purged=OFF", "--loose-column-statistics=0"]
        return ["--no-tablespaces", "--default-character-set=utf8mb4", *mysql]


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
