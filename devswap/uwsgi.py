"""uWSGI's own configuration: what production's command line and ini files say, and how development's differs.

Pure: text in, words out. uWSGI takes options from the command line and from files in the order in which they are named,
and of most the last one wins; so development is production's own command with a few words behind it.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from devswap.errors import DevswapError
from devswap.uwsgi_ini import LOADERS, Option, Read, Reader

_SHORT = {
    "-H": "virtualenv",
    "-s": "socket",
    "-p": "processes",
    "-d": "daemonize",
    "-w": "module",
    "-M": "master",
    "-L": "disable-logging",
    "-S": "set",
}
_FLAGS = ("autoload", "master", "disable-logging", "enable-threads", "lazy-apps", "need-app", "die-on-term")
_VIRTUALENV = ("virtualenv", "venv", "home", "pyhome")
_PYTHONPATH = ("pythonpath", "python-path", "pp")
_PROTOCOL = ("protocol", "socket-protocol")
# What each speaks; of "socket" the protocol may be said elsewhere.
_SOCKETS = {
    "socket": "",
    "uwsgi-socket": "uwsgi",
    "suwsgi-socket": "suwsgi",
    "ssl-socket": "suwsgi",
    "http-socket": "http",
    "http11-socket": "http",
    "http": "http",
    "https-socket": "https",
    "https": "https",
    "https2": "https",
}
_ASKED = {"uwsgi": "uwsgi", "suwsgi": "suwsgi", "http": "http", "http11": "http", "https": "https"}
_SHARED = ("shared-socket", "undeferred-shared-socket")
_APPLICATION = ("module", "wsgi", "wsgi-file", "file", "pyargv", "uid", "gid")
# What a swap goes by: where one of these cannot be told, there is no swap.
_KNOWN = frozenset((*LOADERS, *_VIRTUALENV, *_PYTHONPATH, *_PROTOCOL, *_SOCKETS, *_SHARED, *_APPLICATION))
# What would take the logs elsewhere, leave the terminal, or end a worker that waits at a prompt, and what one process
# has no use for: with a master, Ctrl-C takes as long as the slowest to notice. No later word takes these back.
_DROPPED = re.compile(
    "master|daemonize2?|logto2?|logger|req-logger|logger-req|log-syslog|log-master|cheaper(-.*)?"
    "|max-requests(-delta)?|min-worker-lifetime|max-worker-lifetime(-delta)?"
)


@dataclass(frozen=True)
class Settings:
    """Everything that one uWSGI was told, in its own order."""

    argv: tuple[str, ...]
    options: tuple[Option, ...]
    folder: str = "/"
    """Where it is started: relative paths are meant from there."""
    named: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """(path, section) of each word that names a file to read."""
    magic: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    """By file, what the one-letter placeholders in it stand for."""

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
        """Where it listens, as PROTOCOL://HOST:PORT or, with a socket's path behind them, PROTOCOL:///PATH.

        The protocols are http, https, uwsgi and suwsgi, which is uwsgi in TLS; others cannot be asked.
        """
        shared = self.all(*_SHARED)
        default = self.last(*_PROTOCOL) or "uwsgi"
        found = []
        for option in self.options:
            protocol = _ASKED.get(_SOCKETS.get(option.name, "none") or default)
            if protocol:
                found.append(f"{protocol}://{_place(option.value, self.folder, shared)}")
        return tuple(dict.fromkeys(found))

    @property
    def logs(self) -> tuple[str, ...]:
        """The files that it logs to; none where that is its standard output."""
        named = self.last("logto", "logto2", "daemonize", "daemonize2")
        loggers = re.findall(r"(?:^|\s)file:([^,\s]+)", "\n".join(self.all("logger", "req-logger", "logger-req")))
        return tuple(dict.fromkeys([*([named] if named else []), *loggers]))


def is_uwsgi(program: str) -> bool:
    """uwsgi, uwsgi-core, uwsgi_python3 …"""
    return re.fullmatch(r"uwsgi([-_]\w+)*", posixpath.basename(program)) is not None


def read(argv: Sequence[str], file: Read, environment: Mapping[str, str], *, folder: str = "/") -> Settings:
    """What `argv` and the files it names say; `file` reads one, `folder` and `environment` are those it is started in.

    Raises DevswapError, with what and where, for what cannot be read or known.
    """
    reader = Reader(file, environment, folder, matters=_KNOWN.__contains__)
    for name, value, _ in _command_line(argv[1:]):
        reader.take(name, value)
    return Settings(tuple(argv), reader.done(), folder, reader.files, reader.magic)


def development(
    settings: Settings, virtualenv: str, environment: Mapping[str, str], *, script: str | None
) -> list[str]:
    """Production's own command with the overlay's packages, one worker, and a terminal to ask questions on.

    Production's files are read as they are then; where they hold what no later word takes back, without those lines.
    `script` is the file with the application, where production has one. Raises DevswapError for what cannot be changed.
    """
    _require_changeable(settings)
    words = [settings.argv[0]]
    for name, value, said in _command_line(settings.argv[1:]):
        if _DROPPED.fullmatch(name):
            continue
        words += [f"--{name}", _without_dropped(settings, value)] if name in LOADERS else said
    words += ["--virtualenv", virtualenv, "--processes", "1", "--harakiri", "0"]
    words += ["--honour-stdin"]
    words += ["--wsgi-file", script] if script else []
    words += ["--http-timeout", "3600"] if settings.last("http", "https", "https2") else []
    # env in a file wins over the process's own environment
    lost = [name for name in environment if name in settings.environment]
    return words + [word for name in lost for word in ("--env", f"{name}={environment[name]}")]


def _require_changeable(settings: Settings) -> None:
    """Raise for what development cannot be run without, and not with either."""
    loaded = [value for name, value, _ in _command_line(settings.argv[1:]) if name in LOADERS]
    direct = {settings.named[value][0] for value in loaded}
    for option in settings.options:
        where = option.file or "its command line"
        if _DROPPED.fullmatch(option.name) and option.file and option.file not in direct and option.name != "master":
            raise DevswapError(f"cannot run development in uWSGI: {where} sets {option.name}, and is included")
        if option.name in _PYTHONPATH and f"{option.value}/".startswith(f"{settings.virtualenv}/"):
            raise DevswapError(
                f"cannot run development in uWSGI: {where} sets {option.name} to {option.value}, and production's own "
                "packages would win over the checkout's",
                hint="its virtualenv has them already: production does not need that line",
            )


def _without_dropped(settings: Settings, value: str) -> str:
    path, section = settings.named[value]
    if not any(_DROPPED.fullmatch(option.name) for option in settings.options if option.file == path):
        return value
    # uWSGI takes what a command prints for a file: https://uwsgi-docs.readthedocs.io/en/latest/Configuration.html
    # By its path: the overlay's scripts come first on PATH, and uWSGI may still be root.
    drop = f"-e '/^[[:space:]]*({_DROPPED.pattern})[[:space:]]*(=|$)/d'"
    command = ["exec:///bin/sed -E", drop, *_magic(settings, path), shlex.quote(path)]
    return " ".join(command) + (f":{section}" if section else "")


def _magic(settings: Settings, path: str) -> Iterator[str]:
    """The expressions that fill a file's own placeholders: what a command prints has no name and no folder."""
    for letter, text in sorted(settings.magic.get(path, {}).items()):
        if text is None:
            raise DevswapError(f"cannot run development in uWSGI: {path} has %{letter}, which only uWSGI knows")
        into = re.sub(r"([\\&#])", r"\\\1", text)
        yield "-e " + shlex.quote(f":{letter};s#((^|[^%])(%%)*)%{letter}#\\1{into}#;t{letter}")


def _command_line(words: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """(option, value, the words that say it)."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            yield "config", word, [word]  # uwsgi /etc/uwsgi/x.ini
            continue
        said = [word]
        name, equals, value = word.partition("=")
        name = _SHORT.get(name[:2], name[1:]) if not name.startswith("--") else name[2:]
        if not word.startswith("--") and len(word) > 2 and not equals:
            value = word[2:]
        elif not equals and name not in _FLAGS and rest and _is_value(name, rest[0]):
            value = rest.pop(0)
            said.append(value)
        yield name, value, said


def _is_value(name: str, word: str) -> bool:
    """Whether `word` belongs to the option before it: neither one itself nor a file behind one without value."""
    is_file = re.search(r"\.ini(:[\w-]+)?$", word) is not None
    return name == "pyargv" or (not word.startswith("-") and (name in LOADERS or not is_file))


def _place(value: str, folder: str, shared: Sequence[str]) -> str:
    """HOST:PORT to ask, or a socket's path; an option's list (address,certificate,key) has it first, or named."""
    address = value.split(",")[0]
    if named := re.search(r"(?:^|,)addr=([^,]+)", value):
        address = named[1]
    if re.fullmatch(r"=\d+", address) and int(address[1:]) < len(shared):
        address = shared[int(address[1:])].split(",")[0]
    if address.startswith("@"):
        return address
    if ":" not in address:
        return posixpath.join(folder, address)
    host, _, port = address.rpartition(":")
    return f"{reachable(host)}:{port}"


def reachable(host: str) -> str:
    """Where something that listens on `host` is reached from its own machine."""
    anywhere = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
    return anywhere.get(host, host)


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
