"""How production's command is read: from its process, from its unit, and from the files that uWSGI is told by."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devswap import apache, links, systemd, unit_file, uwsgi
from devswap.configuration import Configuration
from devswap.deployment import MODULE, Interpreter
from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.service import Service

_PYTHON = re.compile(r"python(\d(\.\d+)?)?$")
_ASK_INTERPRETER = """
import json, os, site, sys
folders = [p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages") and os.path.isdir(p)]
print(json.dumps({"version": "%d.%d" % sys.version_info[:2], "folders": folders,
                  "virtualenv": sys.prefix if sys.prefix != sys.base_prefix else None}))
"""


@dataclass(frozen=True)
class Program:
    """What a unit runs."""

    python: str
    """The path of its interpreter."""
    command: tuple[str, ...]
    """The script, or -m and a module, with arguments; in uWSGI the application's own."""
    uwsgi: uwsgi.Settings | None = None


def of_unit(
    machine: Machine, unit: str, properties: Mapping[str, str], environment: Mapping[str, str], service: Service
) -> Program:
    """What `unit` runs; raises DevswapError where that is no Python program, naming it."""
    words = _words(machine, unit, properties, environment)
    if words and uwsgi.is_uwsgi(words[0]):
        settings = uwsgi.read(words, machine.read_text, environment, folder=folder_of(properties))
        python = f"{settings.virtualenv}/bin/python" if settings.virtualenv else "/usr/bin/python3"
        return Program(python, (settings.module or service.name, *settings.arguments), settings)
    python, command = _split(machine, words, unit, service.name)
    return Program(python, command)


def arguments_of(
    machine: Machine, unit: str, properties: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[Sequence[str], Mapping[str, str]]:
    """(the words that an application in `unit` sees, what uWSGI adds to its environment), whatever it is written in."""
    words = _words(machine, unit, properties, environment)
    if words and uwsgi.is_uwsgi(words[0]):
        settings = uwsgi.read(words, machine.read_text, environment, folder=folder_of(properties))
        return settings.arguments, settings.environment
    return words, {}


def _words(machine: Machine, unit: str, properties: Mapping[str, str], environment: Mapping[str, str]) -> list[str]:
    words = _running_command(machine, int(properties["MainPID"] or 0))
    return words or _configured_command(machine, unit, properties["ExecStart"], environment)


def folder_of(properties: Mapping[str, str]) -> str:
    """Where systemd starts a unit with this WorkingDirectory=."""
    folder = properties.get("WorkingDirectory", "").lstrip("!-")
    return folder if folder.startswith("/") else "/"


def of_site(machine: Machine, path: str, service: Service) -> tuple[str, dict[str, str]]:
    """(the interpreter, the options of the processes) by which the site `path` of Apache runs the service."""
    site = apache.read(machine.read_text(path) or "")
    hosts = site.running(service.project, service.name)
    options = site.process(hosts[0]) if hosts else {}
    home = options.get("python-home") or options.get("python-path", "").partition("/lib/python")[0]
    home = home or (_activated(machine, hosts[0].script) if hosts and hosts[0].script else "")
    return (f"{home}/bin/python" if home else "/usr/bin/python3"), options


def _activated(machine: Machine, script: str) -> str:
    """The virtualenv that an application file enters by itself, as OpenStack-Ansible's did in 2015; empty for none.

    By its path without links, which is what activate_this.py goes by: packages that are on Python's path already stay
    where they are there, behind the checkout's.
    """
    found = re.search(r"""["'](/[^"'\s]+)/bin/activate_this\.py["']""", machine.read_text(script) or "")
    return links.followed(machine, found[1]) if found else ""


def addresses(program: Program, service: Service, options: Configuration) -> tuple[str, ...]:
    """Where a web service answers: uWSGI's sockets, or those of the service's own server."""
    if service.web is None:
        return ()
    if program.uwsgi is not None:
        return program.uwsgi.addresses
    host = options.get(service.web.group, service.web.host) or "0.0.0.0"  # noqa: S104 - what these servers do by themselves
    port = options.get(service.web.group, "bind_port") or str(service.web.port)
    scheme = "https" if options.get("ssl", "cert_file") or options.get(service.web.group, "cert_file") else "http"
    return (f"{scheme}://{uwsgi.reachable(f'[{host}]' if ':' in host else host)}:{port}",)


def _running_command(machine: Machine, pid: int) -> list[str]:
    text = machine.read_text(f"/proc/{pid}/cmdline") if pid else None
    words = (text or "").rstrip("\0").split("\0")
    # A process that renamed itself (setproctitle) no longer shows its command line: oslo.service's workers do.
    return words if words and words[0].startswith("/") else []


def _configured_command(machine: Machine, unit: str, exec_start: str, environment: Mapping[str, str]) -> list[str]:
    """From ExecStart as systemd shows it: { path=… ; argv[]=… ; … }."""
    found = re.findall(r"path=(.*?) ; argv\[\]=(.*?) ; ignore_errors=", exec_start)
    lines = [line for _, line in found]
    if len(lines) != 1:
        how = f"{len(lines)} ExecStart" if lines else "no ExecStart"
        raise DevswapError(f"cannot see how {unit} in {machine.name} is started: it has {how}")
    words = _as_written(machine, unit, lines[0])
    path = found[0][0]
    if words[:1] != [path]:  # @ in front of it: the first word is a name that the process is given
        words[:1] = [path]
    return [piece for word in words for piece in _expanded(word, environment)]


def _as_written(machine: Machine, unit: str, shown: str) -> list[str]:
    """The words of a command that systemd shows without their quotes, told apart by the unit's files."""
    files = systemd.show(machine, unit, "FragmentPath", "DropInPaths")
    for path in (*reversed(files["DropInPaths"].split()), files["FragmentPath"]):
        for line in unit_file.values(machine.read_text(path) or "", "ExecStart") if path else ():
            words = unit_file.quoted_words(line)
            if " ".join(words) == shown:
                return words
    try:
        return shlex.split(shown)
    except ValueError:  # with an apostrophe in it
        return shown.split()


def _expanded(word: str, environment: Mapping[str, str]) -> list[str]:
    """As systemd.service(5) has it: $NAME alone becomes its words, ${NAME} its text, $$ a dollar sign."""
    if alone := re.fullmatch(r"\$(\w+)", word):
        return shlex.split(environment.get(alone[1], ""))

    def fill(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else environment.get(match[1] or match[2], "")

    return [re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", fill, word)]


def _split(machine: Machine, words: list[str], unit: str, service: str) -> tuple[str, tuple[str, ...]]:
    """(interpreter, script and arguments) of a command line, with the interpreter taken from the script if need be."""
    if words and _PYTHON.search(words[0]):
        program = _program(words[1:])
        if program:
            return words[0], program
    known = bool(words) and not _PYTHON.search(words[0])
    first = (machine.read_text(words[0]) or "").partition("\n")[0] if known else ""
    interpreter = first.removeprefix("#!").strip().split(" ")[0]
    if first.startswith("#!") and _PYTHON.search(interpreter):
        return interpreter, tuple(words)
    raise DevswapError(
        f"cannot take {service} in {machine.name} over: {shlex.join(words)} is no Python program that could be told",
        hint=f"start {unit} if it does not run, so that its command can be seen; it must name the program itself, no "
        "shell or env that starts it",
    )


def _program(words: Sequence[str]) -> tuple[str, ...]:
    """What Python's own command line runs: the script or (-m, module), with arguments; nothing for -c and a prompt."""
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        flags = rest.pop(0)
        if flags.startswith("--"):
            rest = rest[1:] if flags == "--check-hash-based-pycs" else rest
            continue
        letter = re.search("[cmWX]", flags[1:])  # of several in one word the first that takes a value takes the rest
        if letter is None:
            continue
        value = flags[letter.end() + 1 :] or (rest.pop(0) if rest else "")
        if letter[0] == "m":
            return (MODULE, value, *rest)
        if letter[0] == "c":
            return ()
    return tuple(rest) if rest != ["-"] else ()


def interpreter(machine: Machine, python: str, user: str) -> Interpreter:
    answer = json.loads(machine.run([python, "-c", _ASK_INTERPRETER], user=user, cwd="/").stdout)
    if answer["version"].startswith("2"):
        raise DevswapError(f"cannot take over services of Python {answer['version']} in {machine.name}: 3 is needed")
    return Interpreter(python, answer["version"], tuple(answer["folders"]), answer["virtualenv"])
