"""The URL of a project's database, as its configuration has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from devswap.configuration import Configuration
from devswap.errors import DevswapError, OtherDatabase

# SQLAlchemy's own pattern (engine/url.py); the password goes up to the last @, since people do not always escape one.
_URL = re.compile(
    r"(?P<dialect>[\w+]+)://"
    r"(?:(?P<user>[^:/@]*)(?::(?P<password>.*))?@)?"
    r"(?:\[(?P<ipv6>[^\]/?@]+)\]|(?P<host>[^/:?@]*))?(?::(?P<port>\d*))?"
    r"(?:/(?P<name>[^?@]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_REFERENCE = re.compile(r"\{(\w+)\}")
_PARTS = ("scheme", "username", "password", "hostname", "port", "path", "query", "fragment")
_NO = ("", "0", "no", "off", "false", "disabled")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Url:
    """A SQLAlchemy connection URL, taken apart. Not printed whole anywhere: it holds the password."""

    user: str
    password: str
    host: str
    port: int
    name: str
    certificate_authority: str | None = None
    certificate: str | None = None
    """The account's own, with `key`, where the server asks for one."""
    key: str | None = None
    encrypted: bool = False
    """The service speaks TLS with it, whomever it believes; else the server's default holds."""
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


def parse(url: str, read: Callable[[str], str | None] = lambda path: None) -> Url:  # noqa: ARG005
    """Raises OtherDatabase for one that devswap cannot dump, by its name; the URL's text is never shown.

    What the URL leaves open stands in an option file of the client's, where it names one, which is `read`.
    """
    kind, separator, _ = url.partition("://")
    dialect, _, driver = kind.partition("+")
    if separator and dialect not in ("mysql", "mariadb"):
        raise OtherDatabase(f"cannot save a database of kind {dialect!r}: MariaDB and MySQL are supported")
    parts = _URL.fullmatch(url)
    if parts is None or not parts["name"]:
        raise DevswapError(
            "cannot read the database's URL: it is not of the form mysql://user:password@host:port/name",
            hint="signs that mean something in a URL are written as %XX in its password",
        )
    options = {name: values[0] for name, values in parse_qs(parts["query"] or "").items()}
    path, group = options.get("read_default_file"), options.get("read_default_group", "client")
    text = (read(path) if path else None) or ""
    file = Configuration([text.replace("$", "$$")], {})  # nothing is filled in there

    def option(name: str, in_file: str) -> str | None:
        return options.get(name) or file.get(group, in_file)

    socket = None if parts["host"] or parts["ipv6"] else option("unix_socket", "socket")
    socket = options.get("unix_socket", socket)
    host = parts["ipv6"] or parts["host"] or file.get(group, "host") or "localhost"
    if host == "localhost" and driver != "mysqldb" and driver:
        host = "127.0.0.1"  # only the C library takes this name for its socket; the client tools do as well
    return Url(
        user=unquote(parts["user"] or "") or file.get(group, "user") or "",
        password=unquote(parts["password"] or "") or file.get(group, "password") or "",
        host="" if socket else host,
        port=int(parts["port"] or file.get(group, "port") or 3306),
        name=unquote(parts["name"]),
        certificate_authority=option("ssl_ca", "ssl-ca"),
        certificate=option("ssl_cert", "ssl-cert"),
        key=option("ssl_key", "ssl-key"),
        encrypted=_is_encrypted(options) or any(file.get(group, name) for name in ("ssl-ca", "ssl-cert", "ssl")),
        socket=socket,
    )


def _is_encrypted(options: Mapping[str, str]) -> bool:
    asked = [name for name, value in options.items() if name.startswith("ssl") and value.lower() not in _NO]
    return bool(asked) and "ssl_disabled" not in asked


def filled(template: str, like: str | None) -> str:
    """`template` with what stands in braces taken from the URL `like`, as nova's cell mappings have it.

    {scheme} {username} {password} {hostname} {port} {path} {query} {fragment}; their signs stay as they are written.
    """
    if like is None or not _REFERENCE.search(template):
        return template
    try:
        parts = urlsplit(like)
        values = {name: getattr(parts, name) for name in _PARTS}
    except ValueError as error:  # its own words may be a piece of the password
        raise DevswapError("cannot read the database's URL, from which others are filled in") from error
    values["path"] = parts.path.lstrip("/")
    return _REFERENCE.sub(lambda found: str(values.get(found[1]) or ""), template)


def same(first: Url, second: Url) -> bool:
    """Whether both are the same schema of the same server; accounts may differ."""
    return all(getattr(first, part) == getattr(second, part) for part in ("on", "socket", "host", "port", "name"))


def where(url: Url) -> list[str]:
    """The options that have a client of MariaDB or MySQL connect there."""
    if url.socket:
        return ["--protocol=socket", f"--socket={url.socket}"]
    if not url.host:
        return []  # the socket that the client itself thinks of
    protocol = [] if url.host == "localhost" else ["--protocol=tcp"]
    return [f"--host={url.host}", f"--port={url.port}", *protocol]
