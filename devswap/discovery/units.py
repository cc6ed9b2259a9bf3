"""Finds services by looking: which running machine has the unit, and how production is run there.

Names of containers are not trusted: they changed with every era of OpenStack-Ansible, and other tools have their own.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from devswap import configuration, systemd
from devswap.deployment import MODULE, Deployment, Interpreter
from devswap.errors import DevswapError
from devswap.machine import Machine, while_running
from devswap.service import Service

# In systemd's own order of precedence (systemd.unit(5)); the last one holds what it makes of init scripts.
_UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
# A link here per unit that is not inactive or failed: systemd itself keeps them (unit_export_invocation_id).
_ACTIVE_UNITS = "/run/systemd/units"
_PYTHON = re.compile(r"python(\d(\.\d+)?)?$")
_ASK_INTERPRETER = """
import json, os, site, sys
folders = [p for p in sys.path if os.path.basename(p) in ("site-packages", "dist-packages") and os.path.isdir(p)]
print(json.dumps({"version": "%d.%d" % sys.version_info[:2], "folders": folders,
                  "virtualenv": sys.prefix if sys.prefix != sys.base_prefix else None}))
"""


@dataclass(frozen=True)
class Found:
    """A unit of a known service on one machine; nothing was asked of the machine's systemd yet."""

    service: Service
    machine: Machine
    unit: str
    file: str
    active: bool


def find(services: Iterable[Service], machines: Iterable[Machine]) -> Iterator[Found]:
    """Every place where one of `services` is installed, read from the machines' files."""
    wanted = list(services)
    for machine, files in _looked_at(machines):
        active = {name.partition(":")[2] for name in machine.names(_ACTIVE_UNITS)}
        for service in wanted:
            for name in service.units:
                unit = f"{name}.service"
                if unit in files:
                    yield Found(service, machine, unit, files[unit], unit in active)
                    break


def with_units(names: Iterable[str], machines: Iterable[Machine]) -> list[tuple[str, str]]:
    """(address, unit) of every installed unit of these names."""
    wanted = [f"{name}.service" for name in names]
    return [(machine.address, unit) for machine, files in _looked_at(machines) for unit in wanted if unit in files]


def _looked_at(machines: Iterable[Machine]) -> Iterator[tuple[Machine, dict[str, str]]]:
    """Each machine with its unit files; one that is stopped while it is looked at is left out."""
    for machine in machines:
        files = while_running(machine, _unit_files)
        if files:
            yield machine, files


def _unit_files(machine: Machine) -> dict[str, str]:
    files: dict[str, str] = {}
    for folder in _UNIT_FOLDERS:
        for name in machine.names(folder):
            if name.endswith(".service"):
                files.setdefault(name, f"{folder}/{name}")
    return files


def version(found: Found) -> str | None:
    """The version of production's package, read from the name of its metadata; None if it is not where we look."""
    for line in (found.machine.read_text(found.file) or "").splitlines():
        if line.startswith("ExecStart="):
            prefix = line.removeprefix("ExecStart=").lstrip("-+!:@").split(" ")[0].rpartition("/bin/")[0]
            return _installed_version(found.machine, prefix, found.service.distribution)
    return None


def _installed_version(machine: Machine, prefix: str, distribution: str) -> str | None:
    wanted = re.sub(r"[-_.]+", "_", distribution).lower()
    folders = [f"{prefix}/lib/{name}/site-packages" for name in machine.names(f"{prefix}/lib") if "python" in name]
    for folder in [*folders, "/usr/lib/python3/dist-packages"]:
        for name in machine.names(folder):
            stem, _, kind = name.rpartition(".")
            owner, _, number = stem.partition("-")
            if kind in ("dist-info", "egg-info") and re.sub(r"[-_.]+", "_", owner).lower() == wanted:
                return number.partition("-")[0]
    return None


def examine(found: Found) -> Deployment:
    """How production is run: from its unit and, where it runs, from its main process.

    Raises DevswapError for what cannot be taken over, naming it.
    """
    machine, service = found.machine, found.service
    properties = systemd.show(machine, found.unit, "User", "Group", "MainPID", "Type", "ExecStart")
    environment = systemd.environment(machine, found.unit)
    pid = int(properties["MainPID"] or 0)
    words = _running_command(machine, pid) or _configured_command(found, properties, environment)
    python, command = _split(machine, words, found)
    user = _user(found, properties["User"], pid)
    return Deployment(
        service=service,
        machine=machine,
        unit=found.unit,
        user=user,
        group=properties["Group"] or user,
        command=command,
        environment=environment,
        interpreter=_interpreter(machine, python, user),
        config_files=configuration.files_of(command, machine, service.config, service.entry_point or service.name),
        forks=properties["Type"] in ("forking", "dbus"),
        active=found.active,
    )


def as_json(deployment: Deployment) -> dict[str, Any]:
    """For the journal; the environment stays out, since it may hold secrets."""
    return {
        "user": deployment.user,
        "group": deployment.group,
        "command": deployment.command,
        "interpreter": asdict(deployment.interpreter),
        "config_files": deployment.config_files,
        "forks": deployment.forks,
        "active": deployment.active,
    }


def from_json(found: Found, read: dict[str, Any]) -> Deployment:
    """The deployment that `as_json` described."""
    python = read["interpreter"]
    return Deployment(
        service=found.service,
        machine=found.machine,
        unit=found.unit,
        user=read["user"],
        group=read["group"],
        command=tuple(read["command"]),
        environment=systemd.environment(found.machine, found.unit),  # ours is not among it: see development.py
        interpreter=Interpreter(python["path"], python["version"], tuple(python["site_folders"]), python["virtualenv"]),
        config_files=tuple(read["config_files"]),
        forks=read["forks"],
        active=read["active"],
    )


def cloud_of(name: str) -> str:
    """The first word of a container's name with its separator, which the containers of one cloud share."""
    found = re.match("[^-_]*[-_]?", name)
    return found[0] if found else ""


def _running_command(machine: Machine, pid: int) -> list[str]:
    text = machine.read_text(f"/proc/{pid}/cmdline") if pid else None
    words = (text or "").rstrip("\0").split("\0")
    # A process that renamed itself (setproctitle) no longer shows its command line: oslo.service's workers do.
    return words if words and words[0].startswith("/") else []


def _user(found: Found, wanted: str, pid: int) -> str:
    """Whom the service runs as: its process knows, since a unit without User= may change it by itself.

    Raises DevswapError where the process is not the one that User= names: development would run as somebody else.
    """
    machine = found.machine
    uid = _owner(machine, pid) if pid else None
    accounts = _accounts(machine)
    if uid is None or (wanted and wanted not in accounts.values() and wanted != str(uid)):
        return wanted or "root"  # it does not run, or as an account of systemd's own making (DynamicUser=)
    name = accounts.get(uid)
    if name is None:
        raise DevswapError(f"cannot see whom {found.unit} in {machine.name} runs as: there is no account {uid}")
    if wanted and wanted not in (name, str(uid)):
        raise DevswapError(
            f"cannot take {found.unit} in {machine.name} over: it has User={wanted}, but runs as {name}",
            hint=f"systemctl cat {found.unit} shows how it is started",
        )
    return name


def _owner(machine: Machine, pid: int) -> int | None:
    """The effective uid of a process, as its machine numbers it; None where it has just ended."""
    line = re.search(r"^Uid:\s+\d+\s+(\d+)", machine.read_text(f"/proc/{pid}/status") or "", re.MULTILINE)
    if line is None:
        return None
    uid = int(line[1])
    for row in (machine.read_text(f"/proc/{pid}/uid_map") or "").splitlines():  # read from outside: user_namespaces(7)
        inside, outside, count = map(int, row.split())
        if outside <= uid < outside + count:
            return inside + uid - outside
    return uid


def _accounts(machine: Machine) -> dict[int, str]:
    rows = [line.split(":") for line in (machine.read_text("/etc/passwd") or "").splitlines()]
    return {int(row[2]): row[0] for row in reversed(rows) if len(row) > 2 and row[2].isdigit()}


def _configured_command(found: Found, properties: dict[str, str], environment: Mapping[str, str]) -> list[str]:
    """From ExecStart as systemd shows it: { path=… ; argv[]=… ; … }."""
    lines = re.findall(r"argv\[\]=(.*?) ; ignore_errors=", properties["ExecStart"])
    if len(lines) != 1:
        how = f"{len(lines)} ExecStart" if lines else "no ExecStart"
        raise DevswapError(f"cannot see how {found.unit} in {found.machine.name} is started: it has {how}")
    try:
        words = shlex.split(lines[0])
    except ValueError:  # shown without its quotes, with an apostrophe in it
        words = lines[0].split()
    return [piece for word in words for piece in _expanded(word, environment)]


def _expanded(word: str, environment: Mapping[str, str]) -> list[str]:
    """As systemd.service(5) has it: $NAME alone becomes its words, ${NAME} its text, $$ a dollar sign."""
    if alone := re.fullmatch(r"\$(\w+)", word):
        return shlex.split(environment.get(alone[1], ""))

    def fill(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else environment.get(match[1] or match[2], "")

    return [re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", fill, word)]


def _split(machine: Machine, words: list[str], found: Found) -> tuple[str, tuple[str, ...]]:
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
        f"cannot take {found.service.name} in {found.machine.name} over: {shlex.join(words)} is no Python program",
        hint=f"start it first, so that its command can be seen: systemctl start {found.unit}",
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


def _interpreter(machine: Machine, python: str, user: str) -> Interpreter:
    answer = json.loads(machine.run([python, "-c", _ASK_INTERPRETER], user=user, cwd="/").stdout)
    if answer["version"].startswith("2"):
        raise DevswapError(f"cannot take over services of Python {answer['version']} in {machine.name}: 3 is needed")
    return Interpreter(python, answer["version"], tuple(answer["folders"]), answer["virtualenv"])
