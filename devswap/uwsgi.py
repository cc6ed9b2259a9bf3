"""uWSGI's own configuration: what production's command line and ini files say, and how development's differs.

Pure: text in, words out. uWSGI takes options from the command line and from files in the order in which they are named,
and of most the last one wins; so development is production's own command with a few words behind it.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from devswap.errors import DevswapError

Read = Callable[[str], str | None]

_SHORT = {
    "-i": "ini",
    "-H": "virtualenv",
    "-s": "socket",
    "-p": "processes",
    "-d": "daemonize",
    "-w": "module",
    "-M": "master",
    "-L": "disable-logging",
}
_FLAGS = ("autoload", "master", "disable-logging", "enable-threads", "lazy-apps", "need-app", "die-on-term")
_VIRTUALENV = ("virtualenv", "venv", "home", "pyhome")
_SOCKETS = {
    "socket": "uwsgi",
    "uwsgi-socket": "uwsgi",
    "suwsgi-socket": "",
    "http-socket": "http",
    "http": "http",
    "https-socket": "https",
    "https": "https",
}
# What would take the logs elsewhere, leave the terminal, or end a worker that waits at a prompt, and what one process
# has no use for: with a master, Ctrl-C takes as long as the slowest to notice. No later word takes these back.
_DROPPED = re.compile(
    "master|daemonize2?|logto2?|logger|req-logger|logger-req|log-syslog|log-master|cheaper(-.*)?"
    "|max-requests(-delta)?|min-worker-lifetime|max-worker-lifetime(-delta)?"
)


@dataclass(frozen=True)
class Option:
    name: str
    value: str
    file: str
    """Where it stands; empty for the command line."""


@dataclass(frozen=True)
class Settings:
    """Everything that one uWSGI was told, in its own order."""

    argv: tuple[str, ...]
    options: tuple[Option, ...]

    def last(self, *names: str) -> str | None:
        found = self.all(*names)
        return found[-1] if found else None

    def all(self, *names: str) -> list[str]:
        return [option.value for option in self.options if option.name in names]

    @property
    def files(self) -> tuple[str, ...]:
        """The ini files that it reads."""
        return tuple(dict.fromkeys(option.file for option in self.options if option.file))

    @property
    def virtualenv(self) -> str | None:
        return self.last(*_VIRTUALENV)

    @property
    def module(self) -> str | None:
        """The module that holds the application; None where it is a file, or mounted."""
        named = self.last("module", "wsgi")
        return named.partition(":")[0] if named else None

    @property
    def script(self) -> str | None:
        """The file that holds the application."""
        return self.last("wsgi-file", "file")

    @property
    def arguments(self) -> list[str]:
        """sys.argv of the application, but for its name."""
        return shlex.split(self.last("pyargv") or "")

    @property
    def environment(self) -> dict[str, str]:
        return dict(_pair(value) for value in self.all("env") if "=" in value)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, as http://HOST:PORT, https://…, uwsgi://… or, with a socket's path behind them, uwsgi:///PATH."""
        found = [(_SOCKETS[option.name], option.value) for option in self.options if _SOCKETS.get(option.name)]
        return tuple(dict.fromkeys(f"{protocol}://{_place(value)}" for protocol, value in found))

    @property
    def log(self) -> str | None:
        """The file that it logs to; None where that is its standard output."""
        return self.last("logto", "logto2", "daemonize", "daemonize2")


def is_uwsgi(program: str) -> bool:
    """uwsgi, uwsgi-core, uwsgi_python3 …"""
    return re.fullmatch(r"uwsgi([-_]\w+)*", posixpath.basename(program)) is not None


def read(argv: Sequence[str], file: Read) -> Settings:
    """What `argv` and the files it names say; `file` reads one. Raises DevswapError for files that are not ini."""
    options: list[Option] = []
    for name, value, _ in _command_line(argv[1:]):
        _take(Option(name, value, ""), options, file, depth=0)
    return Settings(tuple(argv), tuple(options))


def development(
    settings: Settings, virtualenv: str, environment: Mapping[str, str], *, script: str | None
) -> list[str]:
    """Production's own command with the overlay's packages, one worker, and a terminal to ask questions on.

    Production's files are read as they are then; where they hold what no later word takes back, without those lines.
    `script` is the file with the application, where production has one. Raises DevswapError for what cannot be changed.
    """
    named = set(_ini_files(settings.argv))
    words = [settings.argv[0]]
    for name, value, said in _command_line(settings.argv[1:]):
        if _DROPPED.fullmatch(name):
            continue
        words += ["--ini", _without_dropped(settings, value)] if name == "ini" else said
    for option in settings.options:
        if _DROPPED.fullmatch(option.name) and option.file and option.file not in named and option.name != "master":
            raise DevswapError(f"cannot run development in uWSGI: {option.file} sets {option.name}, and is included")
    words += ["--virtualenv", virtualenv, "--processes", "1", "--harakiri", "0"]
    words += ["--honour-stdin"]
    words += ["--wsgi-file", script] if script else []
    words += ["--http-timeout", "3600"] if settings.last("http", "https") else []
    # env in a file wins over the process's own environment
    lost = [name for name in environment if name in settings.environment]
    return words + [word for name in lost for word in ("--env", f"{name}={environment[name]}")]


def _without_dropped(settings: Settings, path: str) -> str:
    if not any(_DROPPED.fullmatch(option.name) for option in settings.options if option.file == path):
        return path
    # uWSGI takes what a command prints for a file: https://uwsgi-docs.readthedocs.io/en/latest/Configuration.html
    # By its path: the overlay's scripts come first on PATH, and uWSGI may still be root.
    return f"exec:///bin/sed -E '/^[[:space:]]*({_DROPPED.pattern})[[:space:]]*(=|$)/d' {shlex.quote(path)}"


def _command_line(words: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """(option, value, the words that say it)."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            yield "ini", word, [word]  # uwsgi /etc/uwsgi/x.ini
            continue
        said = [word]
        name, equals, value = word.partition("=")
        name = _SHORT.get(name[:2], name[1:]) if not name.startswith("--") else name[2:]
        if not word.startswith("--") and len(word) > 2 and not equals:
            value = word[2:]
        elif not equals and name not in _FLAGS and rest and (name == "pyargv" or not rest[0].startswith("-")):
            value = rest.pop(0)
            said.append(value)
        yield ("ini" if name == "config" else name), value, said


def _ini_files(argv: Sequence[str]) -> Iterator[str]:
    yield from (value for name, value, _ in _command_line(argv[1:]) if name == "ini")


def _take(option: Option, options: list[Option], file: Read, *, depth: int) -> None:
    if option.name in ("xml", "yaml", "yml", "json", "emperor"):
        raise DevswapError(f"cannot read how uWSGI is configured: --{option.name} {option.value} is no ini file")
    options.append(option)
    if option.name not in ("ini", "include", "inherit") or depth > 8:
        return
    path, _, section = option.value.partition(":")
    known: dict[str, str] = {each.name: each.value for each in options}
    for name, value in _section(file(path) or "", section or "uwsgi"):
        filled = _filled(value, path, known)
        known[name] = filled
        placeholder, equals, inner = filled.partition("=")
        if name in ("set", "set-placeholder", "set-ph") and equals:
            known[placeholder] = inner
        _take(Option(name, filled, path), options, file, depth=depth + 1)


def _section(text: str, wanted: str) -> Iterator[tuple[str, str]]:
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section = line[1:].rstrip("]")
        elif section == wanted:
            name, _, value = line.partition("=")
            yield name.strip(), value.strip()


def _filled(value: str, path: str, known: Mapping[str, str]) -> str:
    """With uWSGI's own placeholders: %(option), and %n, %d, %p and %s of the file they stand in."""
    name = posixpath.basename(path)
    magic = {"n": name.rpartition(".")[0] or name, "d": posixpath.dirname(path) + "/", "p": path, "s": name}
    filled = re.sub(r"%\(([\w.-]+)\)", lambda match: known.get(match[1], match[0]), value)
    return re.sub(r"%([ndps])(?!\()", lambda match: magic[match[1]], filled)


def _place(value: str) -> str:
    """HOST:PORT to ask, or a socket's path; an option's list (address,certificate,key) has it first."""
    address = value.split(",")[0]
    if address.startswith(("/", "@")):
        return address
    host, _, port = address.rpartition(":")
    return f"{reachable(host)}:{port}"


def reachable(host: str) -> str:
    """Where something that listens on `host` is reached from its own machine."""
    anywhere = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
    return anywhere.get(host, host)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
