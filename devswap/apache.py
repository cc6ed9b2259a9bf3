"""Apache's sites: which of them runs an application or hands requests on to one, and how a site reads without it.

Pure: text in, text out. Only what is asked for changes: comments, order and spaces of all other lines stay.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from devswap import uwsgi
from devswap.slot import NOTHING, Made

# Before each line that is put aside: whoever looks for production finds it all the same.
_ASIDE = "#devswap: "
# Apache ends when it is left with nothing to listen on, and a reload would so be its stop.
_SOMEWHERE = "Listen 127.0.0.1:65321"


@dataclass(frozen=True)
class Directive:
    """One directive with its arguments; `first` to `last` are its lines, counted from 0."""

    name: str
    words: tuple[str, ...]
    first: int
    last: int


@dataclass(frozen=True)
class Host:
    """One <VirtualHost>, from its first line to its last."""

    addresses: tuple[str, ...]
    directives: tuple[Directive, ...]
    first: int
    last: int

    def all(self, name: str) -> list[Directive]:
        return [each for each in self.directives if each.name == name.lower()]

    def one(self, name: str) -> str | None:
        """The first argument of the last `name`."""
        found = [each.words[0] for each in self.all(name) if each.words]
        return found[-1] if found else None

    @property
    def script(self) -> str | None:
        """The file with the WSGI application that is behind all of it."""
        found = [each.words[1] for each in self.all("WSGIScriptAlias") if len(each.words) > 1 and each.words[0] == "/"]
        return found[-1] if found else None

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it answers, as it is asked inside its machine."""
        scheme = "https" if (self.one("SSLEngine") or "off").lower() == "on" else "http"
        return tuple(f"{scheme}://{_reachable(each)}" for each in self.addresses)


@dataclass(frozen=True)
class Site:
    """One file of Apache's."""

    text: str
    hosts: tuple[Host, ...]
    others: tuple[Directive, ...]
    """Outside of all hosts."""

    def running(self, project: str, service: str = "") -> tuple[Host, ...]:
        """The hosts that run an application of `project`: the path of its file names it.

        Of `service`, where that is named: a project may have several APIs.
        """
        word = re.compile(rf"\b{re.escape(project)}\b")
        found = [host for host in self.hosts if host.script and word.search(host.script)]
        return tuple(host for host in found if not (service and _is_of_another(host.script or "", project, service)))

    def in_front_of(self, addresses: Collection[str]) -> tuple[Host, ...]:
        """The hosts that hand requests on to an application that listens on one of `addresses`."""
        return tuple(host for host in self.hosts if addresses and set(_behind(host)) & set(addresses))

    def process(self, host: Host) -> dict[str, str]:
        """The options of the processes that run the application of `host`: {"user": …, "python-home": …}."""
        found = self.daemon(host)
        return dict(word.split("=", 1) for word in found.words[1:] if "=" in word) if found else {}

    def processes(self, host: Host) -> str | None:
        """The name of those that run the application of `host`; None where Apache's own do.

        mod_wsgi knows two ways to say so: an option of the alias, and a directive, which may stand outside.
        """
        aliases = [each for each in host.all("WSGIScriptAlias") if each.words[:1] == ("/",)]
        said = [word.partition("=")[2] for each in aliases for word in each.words if word.startswith("process-group=")]
        outside = [each.words[0] for each in self.others if each.name == "wsgiprocessgroup" and each.words]
        name = said[-1] if said else host.one("WSGIProcessGroup") or (outside[-1] if outside else None)
        return None if name is None or name.startswith("%{") else name

    def daemon(self, host: Host) -> Directive | None:
        """The WSGIDaemonProcess of these processes, wherever it stands in the file."""
        name = self.processes(host)
        everywhere = [*self.others, *(each for one in self.hosts for each in one.directives)]
        for each in everywhere:
            if each.name == "wsgidaemonprocess" and each.words and each.words[0] == name:
                return each
        return None


def read(text: str) -> Site:
    """The site as production has it, also while parts of it are put aside."""
    text = re.sub(f"^{_ASIDE}", "", text, flags=re.MULTILINE)
    hosts: list[Host] = []
    others: list[Directive] = []
    inside: list[Directive] | None = None
    addresses: tuple[str, ...] = ()
    began = 0
    for each in _directives(text):
        if each.name == "<virtualhost":
            inside, addresses, began = [], tuple(word.rstrip(">") for word in each.words if word != ">"), each.first
        elif each.name == "</virtualhost>" and inside is not None:
            hosts.append(Host(addresses, tuple(inside), began, each.last))
            inside = None
        else:
            (others if inside is None else inside).append(each)
    return Site(text, tuple(hosts), tuple(others))


def untold(host: Host) -> str | None:
    """A word of it that only Apache itself knows the meaning of: a variable, a macro's parameter, no port, a folder."""
    words = [each for each in host.addresses if not _port(each).isdigit()]
    words += [host.script] if host.script and ("$" in host.script or host.script.endswith("/")) else []
    return next(iter(words), None)


def without(site: Site, hosts: Sequence[Host]) -> str:
    """The text of the site with `hosts` put aside, and with them what this file says of listening on their ports."""
    gone = {line for host in hosts for line in range(host.first, host.last + 1)}
    return f"{_aside(site, gone | _of_listening(site, freed(site, hosts))).rstrip()}\n{_SOMEWHERE}\n"


def freed(site: Site, hosts: Sequence[Host]) -> set[str]:
    """The ports of `hosts` that no other host of the site needs."""
    kept = {_port(address) for host in site.hosts if host not in hosts for address in host.addresses}
    return {_port(address) for host in hosts for address in host.addresses} - kept


def silenced(text: str, free: Collection[str]) -> str:
    """The text of any file of Apache's with what it says of listening on these ports put aside."""
    site = read(text)
    return _aside(site, _of_listening(site, free))


def _of_listening(site: Site, free: Collection[str]) -> set[int]:
    """The lines by which Apache listens on these ports."""
    said = [each for each in site.others if each.name == "listen" and each.words and _port(each.words[0]) in free]
    return {line for each in said for line in range(each.first, each.last + 1)}


def _is_of_another(script: str, project: str, service: str) -> bool:
    """heat-wsgi-api and heat_api are heat-api's, and not heat-api-cfn's; of what has no such name nobody can tell."""
    words = [word for word in re.split(r"[-_.]", script.rpartition("/")[2]) if word not in ("wsgi", "py")]
    called, family = "-".join(words), f"{project}-api"
    return service.startswith(family) and called != service and f"{called}-".startswith(f"{family}-")


def _aside(site: Site, gone: Collection[int]) -> str:
    lines = enumerate(site.text.splitlines(keepends=True))
    return "".join(_ASIDE + line if number in gone else line for number, line in lines)


def listens(site: Site) -> set[str]:
    """The ports that this file says Apache listens on."""
    return {_port(each.words[0]) for each in site.others if each.name == "listen" and each.words}


def ports(hosts: Sequence[Host]) -> tuple[str, ...]:
    return tuple(sorted({_port(address) for host in hosts for address in host.addresses}))


def pointed(site: Site, hosts: Sequence[Host], home: str, scripts: dict[str, str], made: Made = NOTHING) -> str:
    """The text of the site with the applications of `hosts` run from the virtualenv `home`.

    `scripts` has the files that take the place of production's, and `made` the folders; each of these Apache is then
    allowed to read.
    """
    lines = site.text.splitlines(keepends=True)
    for host in hosts:
        daemon = site.daemon(host)
        if daemon is not None:
            kept = [word for word in daemon.words if not word.startswith(("python-home=", "python-path="))]
            first = [f"python-path={made.python}"] if made.python else []
            _put(lines, daemon, ["WSGIDaemonProcess", *kept, f"python-home={home}", *first])
        for alias in host.all("WSGIScriptAlias"):
            if len(alias.words) > 1 and alias.words[1] in scripts:
                target = scripts[alias.words[1]]
                _put(lines, alias, ["WSGIScriptAlias", alias.words[0], target, *alias.words[2:]])
                lines[host.first] += _readable(target.rpartition("/")[0])
        for url, folder in made.aliases.items():
            # OpenStack-Ansible writes //static below a root of /, and Apache takes several slashes for one
            own = [each for each in host.all("Alias") if each.words and f"/{each.words[0].strip('/')}" == url]
            for each in own:
                _put(lines, each, ["#", *each.words])
            lines[host.first] += f"    Alias {url} {folder}\n{_readable(folder)}"
    return "".join(lines)


def _readable(folder: str) -> str:
    return f'    <Directory "{folder}">\n        Require all granted\n    </Directory>\n'


def _put(lines: list[str], directive: Directive, words: Sequence[str]) -> None:
    margin = re.match(r"\s*", lines[directive.first])
    quoted = [f'"{word}"' if re.search(r"[\s]", word) else word for word in words]
    lines[directive.first] = f"{margin[0] if margin else ''}{' '.join(quoted)}\n"
    for number in range(directive.first + 1, directive.last + 1):
        lines[number] = ""


def _directives(text: str) -> Iterator[Directive]:
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        first, whole = number, lines[number]
        while whole.endswith("\\") and number + 1 < len(lines):
            number += 1
            whole = whole[:-1] + " " + lines[number]
        number += 1
        words = _words(whole)
        if words and not words[0].startswith("#"):
            yield Directive(words[0].lower(), tuple(words[1:]), first, number - 1)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=False, posix=True)
    except ValueError:  # an apostrophe in a comment
        return line.split()


def _behind(host: Host) -> Iterator[str]:
    """Whom it hands requests on to, as addresses of uWSGI's: uwsgi://…, http://…, uwsgi:///SOCKET."""
    for each in (*host.all("ProxyPass"), *host.all("ProxyPassMatch"), *host.all("SetHandler")):
        for word in each.words:
            target = word.removeprefix("proxy:")
            if match := re.match(r"unix:([^|]+)\|(\w+):", target):
                yield f"{match[2]}://{match[1]}"
            elif match := re.match(r"(uwsgi|https?)://([^/]+)", target):
                yield match[0]


def _reachable(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{uwsgi.reachable('' if host == '_default_' else host)}:{port}"


def _port(address: str) -> str:
    return address.rpartition(":")[2]
