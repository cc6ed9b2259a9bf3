"""A database server in memory, which understands the SQL that devswap, its dumps and its tests' migrations use."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field

SOCKET = "localhost"
"""Where clients go that are told no host."""


class SqlError(Exception):
    """What the client prints before it exits with 1."""


@dataclass
class Table:
    """`columns` is the text between the brackets of CREATE TABLE; a row is the text of its VALUES."""

    columns: str
    rows: list[str] = field(default_factory=list)

    def definition(self, name: str) -> str:
        counter = f" AUTO_INCREMENT={len(self.rows) + 1}" if self.rows else ""
        return f"CREATE TABLE `{name}` ({self.columns}) ENGINE=InnoDB{counter} DEFAULT CHARSET=utf8mb4"


@dataclass
class Schema:
    tables: dict[str, Table] = field(default_factory=dict)
    working: list[str] = field(default_factory=list)
    """Statements that the server goes on with although their client is gone."""
    of_others: list[tuple[str, str, str]] = field(default_factory=list)
    """(kind, name, whose) of what no account of a service may make again."""

    def settle(self) -> None:
        """Time has passed: what the server was working on is done."""
        while self.working:
            self._go_on()

    def _go_on(self) -> None:
        """Nobody hears of an error: the client is gone, and sends nothing more."""
        try:
            self.execute(self.working.pop(0))
        except SqlError:
            self.working = []

    def execute(self, sql: str) -> list[str]:
        """One statement, as a whole: its rows, tab-separated."""
        for pattern, answer in _STATEMENTS:
            if match := pattern.fullmatch(sql.strip()):
                return answer(self, match)
        raise SqlError(f"ERROR 1064 (42000): You have an error in your SQL syntax: {sql[:80]}")

    def script(self, text: str, *, received: bool) -> Generator[None, None, list[str]]:
        """Many statements, each a part of the whole; with all of them `received`, the client outlives its devswap."""
        said: list[str] = []
        todo = statements(text)
        try:
            while todo:
                said += self.execute(todo.pop(0))
                self.working = list(todo) if received else []
                yield
        finally:
            self.working = []
        return said

    def dump(self, *, rows: bool, comments: bool) -> str:
        lines = ["-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)"] if comments else []
        for name, table in sorted(self.tables.items()):
            lines += [f"DROP TABLE IF EXISTS `{name}`;"] if comments else []
            lines += [f"{table.definition(name)};"]
            lines += [f"INSERT INTO `{name}` VALUES {row};" for row in table.rows] if rows else []
        return "\n".join(lines + (["-- Dump completed on 2026-01-01  0:00:00"] if comments else [])) + "\n"

    def table(self, name: str) -> Table:
        if name not in self.tables:
            raise SqlError(f"ERROR 1146 (42S02): Table '{name}' doesn't exist")
        return self.tables[name]

    def column(self, name: str) -> list[str]:
        return [row.strip("()'") for row in self.table(name).rows]

    def create(self, name: str, columns: str) -> list[str]:
        if name in self.tables:
            raise SqlError(f"ERROR 1050 (42S01): Table '{name}' already exists")
        self.tables[name] = Table(columns)
        return []

    def drop(self, name: str) -> list[str]:
        self.tables.pop(name, None)
        return []

    def alter(self, name: str, column: str) -> list[str]:
        table = self.table(name)
        if column in table.columns.split(", "):
            raise SqlError(f"ERROR 1060 (42S21): Duplicate column name {column}")
        table.columns += f", {column}"
        return []

    def insert(self, name: str, row: str) -> list[str]:
        self.table(name).rows.append(row)
        return []

    def update(self, name: str, value: str) -> list[str]:
        self.table(name).rows = [f"('{value}')"]
        return []

    def columns(self, name: str) -> list[str]:
        return [each.split("`")[1] for each in self.table(name).columns.split(", ")]

    def has_column(self, name: str, column: str) -> list[str]:
        return [str(int(name in self.tables and column in self.columns(name)))]

    def select(self, columns: Sequence[str], name: str) -> list[str]:
        """In the order of the first of `columns`."""
        places = [self.columns(name).index(column) for column in columns]
        found = [values(row) for row in self.table(name).rows]
        return sorted("\t".join(row[place] for place in places) for row in found)

    def change(self, name: str, column: str, value: str, key: str, wanted: str) -> list[str]:
        place, told = (self.columns(name).index(each) for each in (column, key))
        table = self.table(name)
        for number, row in enumerate(table.rows):
            found = values(row)
            if found[told] == wanted:
                found[place] = value
                table.rows[number] = f"({','.join(each if each.isdigit() else repr(each) for each in found)})"
        return []

    def count(self, sql: str) -> list[str]:
        return [f"{name}\t{len(self.table(name).rows)}" for name in re.findall(r"FROM `([^`]+)`", sql)]

    def processes(self) -> list[str]:
        """Whoever asks sees a statement at work; by the next question it is done."""
        shown = [f"10\t{sql}" for sql in self.working[:1]]
        if self.working:
            self._go_on()
        return shown

    def size(self) -> int:
        return sum(16384 + 100 * len(table.rows) for table in self.tables.values())


def values(row: str) -> list[str]:
    """Of a row's text: (1,'nova-conductor',72)."""
    return next(csv.reader([row[1:-1]], quotechar="'"))


def statements(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [part.strip() for part in re.split(r";\s*\n", "\n".join(lines) + "\n") if part.strip().rstrip(";")]


_STATEMENTS = [
    (re.compile(pattern, re.DOTALL), answer)
    for pattern, answer in (
        (r"SELECT 1", lambda schema, match: ["1"]),
        (r"SELECT @@hostname", lambda schema, match: ["galera"]),
        (
            r"SELECT kind, name, definer FROM .*",
            lambda schema, match: ["\t".join(row) for row in sorted(schema.of_others)],
        ),
        (r"SET FOREIGN_KEY_CHECKS = [01]", lambda schema, match: []),
        (r"SHOW TABLES", lambda schema, match: sorted(schema.tables)),
        (
            r"SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'",
            lambda schema, match: [f"{name}\tBASE TABLE" for name in sorted(schema.tables)],
        ),
        (r"SHOW FULL TABLES WHERE Table_type = 'VIEW'", lambda schema, match: []),
        (
            r"SELECT COUNT\(\*\) FROM information_schema.columns .* table_name = '(\w+)' AND column_name = '(\w+)'",
            lambda schema, match: schema.has_column(match[1], match[2]),
        ),
        (
            r"SELECT `(\w+)`, `(\w+)` FROM `(\w+)` ORDER BY `\1`",
            lambda schema, match: schema.select((match[1], match[2]), match[3]),
        ),
        (
            r"UPDATE `(\w+)` SET `(\w+)` = '?([\w.]+)'? WHERE `(\w+)` = '(\w+)'",
            lambda schema, match: schema.change(*match.groups()),
        ),
        (r"SELECT (version(?:_num)?) FROM (\w+)", lambda schema, match: schema.select((match[1],), match[2])),
        (r"SELECT COALESCE\(SUM\(data_length\), 0\) FROM .*", lambda schema, match: [str(schema.size())]),
        (r"SELECT '[^']+', COUNT\(\*\) FROM .*", lambda schema, match: schema.count(match[0])),
        (r"SELECT id, .* FROM information_schema.processlist .*", lambda schema, match: schema.processes()),
        (r"CREATE TABLE `([^`]+)` \((.*)\) ENGINE=.*", lambda schema, match: schema.create(match[1], match[2])),
        (r"DROP TABLE IF EXISTS `([^`]+)`", lambda schema, match: schema.drop(match[1])),
        (r"ALTER TABLE `([^`]+)` ADD COLUMN (.*)", lambda schema, match: schema.alter(match[1], match[2])),
        (r"INSERT INTO `([^`]+)` VALUES (.*)", lambda schema, match: schema.insert(match[1], match[2])),
        (r"UPDATE (\w+) SET version_num='(.*)'", lambda schema, match: schema.update(match[1], match[2])),
    )
]


@dataclass
class Server:
    """`accounts` are passwords by user."""

    accounts: dict[str, str]
    schemas: dict[str, Schema]
    demands: str = ""
    """TLS (require_secure_transport), X509, a certificate of whoever comes, or NONE, which MariaDB's do from 11.4 on:
    they ask for TLS by themselves, and it has none."""

    def refusal(self, options: Collection[str]) -> str:
        """What a client is told that was given these; empty where it is let in."""
        lacks = "ERROR 2026 (HY000): TLS/SSL error: SSL is required, but the server does not support it"
        if self.demands == "NONE":
            return "" if "--loose-skip-ssl-verify-server-cert" in options else lacks
        prohibited = "ERROR 3159 (08004): Connections using insecure transport are prohibited"
        return "" if self._is_met(options) else prohibited

    def _is_met(self, options: Collection[str]) -> bool:
        said = [name for name in ("--ssl-cert", "--ssl-ca", "--loose-ssl") if name in options]
        return not self.demands or (bool(said) if self.demands == "TLS" else {"--ssl-cert", "--ssl-key"} <= {*options})

    def schema(self, user: str, password: str, name: str) -> Schema:
        if self.accounts.get(user) != password:
            raise SqlError(f"ERROR 1045 (28000): Access denied for user '{user}'@'%' (using password: YES)")
        if name not in self.schemas:
            raise SqlError(f"ERROR 1049 (42000): Unknown database '{name}'")
        return self.schemas[name]
