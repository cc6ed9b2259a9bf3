"""HAProxy's configuration as text: which servers, which sockets; nothing here reads a file.

How its lines are changed is in haproxy_edits.py, what its runtime socket is told in haproxy_socket.py.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

_SECTIONS = """
global defaults frontend backend listen userlist peers resolvers mailers program cache http-errors ring log-forward
log-profile fcgi-app crt-store traces acme
"""
SECTIONS = frozenset(_SECTIONS.split())
# Of a server line, what moves traffic, and what takes it back where `default-server` says it.
OPPOSITES = {"backup": "no-backup", "disabled": "enabled"}
# Quotes hold spaces and number signs, a backslash escapes, a bare number sign begins a comment (configuration.txt).
_WORD = re.compile(r"""(?:\\.|"(?:\\.|[^"\\])*"|'[^']*'|[^\s#"'\\]|["'\\])+""", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """`text` as HAProxy reads it, without quotes; where it is in its line."""

    text: str
    start: int
    end: int


def words(line: str) -> list[Word]:
    """The words of a line, its comment left out."""
    found, here = [], 0
    while match := _WORD.match(line, here := here + len(line[here:]) - len(line[here:].lstrip())):
        found.append(Word(_unquoted(match[0]), match.start(), match.end()))
        here = match.end()
    return found


def _unquoted(word: str) -> str:
    if not any(mark in word for mark in "\"'\\"):
        return word
    pieces = re.findall(r"""\\(.)|"((?:\\.|[^"\\])*)"|'([^']*)'|(.)""", word, re.DOTALL)
    return "".join(one + re.sub(r"\\(.)", r"\1", double) + single + plain for one, double, single, plain in pieces)


def texts(line: str) -> list[str]:
    """The words of a line as HAProxy reads them."""
    return [word.text for word in words(line)]


# --- what a configuration says ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """One server of a backend, with what `default-server` gives it."""

    path: str
    section: str
    """Its section's own first words: "backend keystone_service-back"."""
    name: str
    host: str
    port: int | None
    http: bool
    tls: bool
    backup: bool
    disabled: bool
    line: str
    inherited: frozenset[str] = frozenset()
    """Which of backup, disabled and check its section's defaults give it."""
    defaults: tuple[str, ...] = ()
    """All words of those defaults, the later ones behind the earlier ones."""

    @property
    def backend(self) -> str:
        return self.section.partition(" ")[2]

    @property
    def key(self) -> str:
        """As the runtime socket names it."""
        return f"{self.backend}/{self.name}"


@dataclass(frozen=True)
class Socket:
    """A runtime socket in the file system."""

    path: str
    admin: bool
    passes_listeners: bool
    """A new process can take the listening sockets over through it (haproxy -x)."""


@dataclass(frozen=True)
class Configuration:
    """What of HAProxy's files concerns where traffic goes."""

    servers: tuple[Server, ...]
    sockets: tuple[Socket, ...]
    words_of_global: frozenset[str]
    variables: frozenset[str]
    """Names of the environment that it reads."""

    def of_backends(self, names: Iterable[str]) -> list[Server]:
        wanted = set(names)
        return [server for server in self.servers if server.backend in wanted]

    def server(self, key: str) -> Server | None:
        return next((server for server in self.servers if server.key == key), None)

    @property
    def socket(self) -> Socket | None:
        """The one that may do most."""
        return max(self.sockets, key=lambda each: (each.admin, each.passes_listeners), default=None)


def read(files: Iterable[tuple[str, str]]) -> Configuration:
    """The configuration in (path, text) of its files, in HAProxy's order."""
    servers: list[Server] = []
    sockets: list[Socket] = []
    globally: set[str] = set()
    variables: set[str] = set()
    defaults, by_name = _Inherited(), dict[str, _Inherited]()
    here = _Inherited()
    for path, text in files:
        section = ""
        for line in text.split("\n"):
            found = texts(line)
            if not found:
                continue
            variables |= set(re.findall(r"\$\{?(\w+)", line))
            if found[0] in SECTIONS:
                section = " ".join(found[:2])
                # since 2.4: "backend NAME from DEFAULTS", and those may be made from others as well
                named = by_name.get(found[3]) if found[2:3] == ["from"] and len(found) > 3 else None
                here = named or (_Inherited() if found[0] == "defaults" else defaults)
                continue
            kind = section.partition(" ")[0]
            if kind == "global":
                globally.add(found[0])
                sockets += _sockets(found)
            elif found[0] == "server" and len(found) > 2 and kind in ("backend", "listen"):
                servers.append(_server(path, section, found, line, here))
            else:
                here = here.with_line(found)
                if kind == "defaults":
                    defaults = by_name[section.partition(" ")[2]] = here
    return Configuration(tuple(servers), tuple(sockets), frozenset(globally), frozenset(variables))


@dataclass(frozen=True)
class _Inherited:
    """What a section or the defaults before it say of all their servers."""

    http: bool = False
    words: tuple[str, ...] = ()

    def with_line(self, found: Sequence[str]) -> _Inherited:
        if found[0] == "mode":
            return replace(self, http=found[1:2] == ["http"])
        if found[0] == "default-server":
            return replace(self, words=(*self.words, *found[1:]))
        return self


def is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def plain_host(host: str, environment: Mapping[str, str]) -> str:
    """Without the prefix of its family, and with variables filled in (configuration.txt, 2.3 and 11)."""
    filled = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: environment.get(found[1] or found[2], ""), host)
    return re.sub(r"^(?:ipv[46]|tcp[46]?)@", "", filled).strip("[]")


def flags(options: Sequence[str], inherited: frozenset[str]) -> frozenset[str]:
    """Which of backup, disabled, check and ssl hold after these options of a server."""
    found = set(inherited)
    for word in options:
        for flag, opposite in (*OPPOSITES.items(), ("check", "no-check"), ("ssl", "no-ssl")):
            found |= {flag} if word == flag else set()
            found -= {flag} if word == opposite else set()
    return frozenset(found)


def _server(path: str, section: str, found: Sequence[str], line: str, here: _Inherited) -> Server:
    host, _, port = found[2].rpartition(":")
    inherited = flags(here.words, frozenset())
    said = flags(found[3:], inherited)
    return Server(
        path=path,
        section=section,
        name=found[1],
        host=(host or found[2]).strip("[]"),
        port=int(port) if host and port.isdigit() else None,
        http=here.http,
        tls="ssl" in said,
        backup="backup" in said,
        disabled="disabled" in said,
        line=line,
        inherited=inherited,
        defaults=here.words,
    )


def _sockets(found: Sequence[str]) -> Iterator[Socket]:
    if list(found[:2]) != ["stats", "socket"] or len(found) < 3:
        return
    path = found[2].removeprefix("unix@")
    if path.startswith("/"):
        level = found[found.index("level") + 1 : found.index("level") + 2] if "level" in found else []
        yield Socket(path, admin=level == ["admin"], passes_listeners="expose-fd" in found)
