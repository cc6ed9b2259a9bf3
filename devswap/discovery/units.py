"""Finds services by looking: which running machine has the unit, and how production is run there.

Names of containers are not trusted: they changed with every era of OpenStack-Ansible, and other tools have their own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from devswap import apache, configuration, links, remembered, systemd, unit_environment, unit_file, uwsgi
from devswap.configuration import Configuration
from devswap.deployment import Deployment, Front, Hosted, Interpreter
from devswap.discovery import account, program, sites
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
_PROPERTIES = ("User", "Group", "MainPID", "Type", "ExecStart", "WorkingDirectory")


@dataclass(frozen=True)
class Found:
    """A unit of a known service on one machine; nothing was asked of the machine's systemd yet."""

    service: Service
    machine: Machine
    unit: str
    file: str
    active: bool
    site: str = ""
    """The file of Apache's that runs it; `unit` is then Apache's."""


def find(services: Iterable[Service], machines: Iterable[Machine]) -> Iterator[Found]:
    """Every place where one of `services` is installed, read from the machines' files."""
    wanted = list(services)
    for machine in machines:  # any of which may be stopped while it is looked at
        yield from while_running(machine, lambda where: list(_installed(where, wanted))) or ()


def _installed(machine: Machine, wanted: Sequence[Service]) -> Iterator[Found]:
    files = _unit_files(machine)
    if not files:
        return
    active = {name.partition(":")[2] for name in machine.names(_ACTIVE_UNITS)}
    served_there: list[sites.Served] | None = None
    for service in wanted:
        unit = _the_one(machine, service, files, active) if is_its_own(machine, service) else None
        if unit is not None:
            yield Found(service, machine, unit, _file_of(unit, files), unit in active)
        else:
            if service.web and served_there is None:  # read once: a catalogue has many services
                served_there = sites.read(machine, files)
            served = sites.running(served_there or (), service.project, service.name) if service.web else None
            if served is not None:
                yield Found(service, machine, served.unit, files[served.unit], served.unit in active, served.path)


def _the_one(machine: Machine, service: Service, files: Mapping[str, str], active: Collection[str]) -> str | None:
    """Of its names the first that runs, or that may: an upgrade leaves the unit of an earlier name, masked or idle."""
    there = [unit for unit in _named(machine, service.units, files) if not _is_masked(machine, _file_of(unit, files))]
    return next((unit for unit in there if unit in active), next(iter(there), None))


def _named(machine: Machine, names: Iterable[str], files: Mapping[str, str]) -> list[str]:
    """The units of these names that there are."""
    units = [f"{name}.service" for name in names]
    return list(dict.fromkeys(_behind_alias(machine, unit, files) for unit in units if _file_of(unit, files)))


def _file_of(unit: str, files: Mapping[str, str]) -> str:
    """That of an instance may be its template's (systemd.unit(5)); empty where there is none."""
    template = re.sub(r"@[^@]+\.service$", "@.service", unit)
    return files.get(unit) or files.get(template, "")


def _is_masked(machine: Machine, path: str) -> bool:
    return machine.link_target(path) == "/dev/null"


def is_its_own(machine: Machine, service: Service) -> bool:
    """Whether a unit of the service's name is the service's here, as far as that can be told otherwise than by it."""
    return not service.known_by or any(machine.exists(path) for path in service.known_by)


def file_of_other_init(machine: Machine, service: Service) -> str | None:
    """The file by which upstart or the init of System V starts the service; None where that is systemd's, or absent."""
    if machine.is_folder("/run/systemd/system"):  # sd_booted(3)
        return None
    files = (path for name in service.units for path in (f"/etc/init/{name}.conf", f"/etc/init.d/{name}"))
    return next((path for path in files if machine.exists(path)), None)


def with_units(names: Iterable[str], machines: Iterable[Machine]) -> list[tuple[Machine, str]]:
    """(machine, unit) of every installed unit of these names."""
    wanted = list(names)
    looked_at = [(machine, while_running(machine, _unit_files) or {}) for machine in machines]
    return [(machine, unit) for machine, files in looked_at for unit in _named(machine, wanted, files)]


def _unit_files(machine: Machine) -> dict[str, str]:
    return remembered.once(("unit files", machine.address), lambda: _units_of(machine))


def _units_of(machine: Machine) -> dict[str, str]:
    files: dict[str, str] = {}
    for folder in _UNIT_FOLDERS:
        for name in machine.names(folder):
            if name.endswith(".service"):
                files.setdefault(name, f"{folder}/{name}")
    return files


def _behind_alias(machine: Machine, unit: str, files: Mapping[str, str]) -> str:
    """The unit that `unit` is another name of (systemd.unit(5): Alias=): state and log are kept under its own only."""
    if unit not in files or machine.link_target(files[unit]) is None:
        return unit
    name = links.followed(machine, files[unit]).rpartition("/")[2]
    return name if name in files else unit  # else a link to a file of any name, or to /dev/null


def version(found: Found) -> str | None:
    """The version of production's package, read from the name of its metadata; None if it is not where we look."""
    try:
        return _version(found)
    except (DevswapError, OSError):  # a unit that cannot be read is no reason to show none of the others
        return None


def _version(found: Found) -> str | None:
    if found.site:
        python, _ = program.of_site(found.machine, found.site, found.service)
        return _installed_version(found.machine, python.rpartition("/bin/")[0], found.service.distribution)
    words = started(found)
    prefix = words[0].rpartition("/bin/")[0] if words else ""
    if told := uwsgi_of(found):
        prefix = told.virtualenv or "/usr"
    return _installed_version(found.machine, prefix, found.service.distribution) if words else None


def uwsgi_of(found: Found) -> uwsgi.Settings | None:
    """What the unit's file tells uWSGI, if that is what it starts; nothing is asked of the machine's systemd."""
    words = started(found)
    return uwsgi.read(words, found.machine.read_text, {}) if words and uwsgi.is_uwsgi(words[0]) else None


def started(found: Found) -> list[str]:
    """The words by which the unit's file starts it; nothing is asked of the machine's systemd."""
    lines = unit_file.values(found.machine.read_text(found.file) or "", "ExecStart")
    return unit_file.command(lines[-1]) if lines else []


def _installed_version(machine: Machine, prefix: str, distribution: str) -> str | None:
    wanted = re.sub(r"[-_.]+", "_", distribution).lower()
    # Debian's own Python has what pip installs in /usr/local/lib/python3.11/dist-packages, before its own
    places = [f"{each}/lib" for each in (["/usr/local", prefix] if prefix == "/usr" else [prefix])]
    libraries = [f"{place}/{name}" for place in places for name in machine.names(place) if "python" in name]
    folders = [f"{library}/{kind}" for library in libraries for kind in ("site-packages", "dist-packages")]
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
    if found.site:
        return _examine_hosted(found)
    properties = systemd.show(machine, found.unit, *_PROPERTIES)
    environment = unit_environment.of(machine, found.unit)
    pid = int(properties["MainPID"] or 0)
    runs = program.of_unit(machine, found.unit, properties, environment, service)
    told = runs.uwsgi
    environment |= told.environment if told else {}
    wanted = account.named(machine, "/etc/passwd", told.last("uid")) if told else None
    group = account.named(machine, "/etc/group", properties["Group"] or (told.last("gid") if told else None))
    user = account.of_unit(machine, found.unit, properties["User"], pid, otherwise=wanted)
    group = group or account.own_group(machine, user)  # systemd.exec(5): Group=
    files = _files(machine, service, runs.command, environment)
    settings = environment if service.oslo_config else {}
    answers = program.addresses(runs, service, Configuration.of(machine, files, settings))
    return Deployment(
        service=service,
        machine=machine,
        unit=found.unit,
        user=user,
        group=group or user,
        command=runs.command,
        environment=environment,
        interpreter=program.interpreter(machine, runs.python, user),
        config_files=files,
        forks=properties["Type"] in ("forking", "dbus"),
        active=found.active,
        leaves_root=None if properties["User"] or told or user == "root" else account.group_of(machine, user),
        uwsgi=told,
        front=_front(machine, answers),
        addresses=answers,
    )


def _files(
    machine: Machine, service: Service, command: Sequence[str], environment: Mapping[str, str]
) -> tuple[str, ...]:
    if not service.oslo_config:
        return configuration.first_named(command, machine, service.config)
    return configuration.files_of(command, machine, service.config, service.entry_point or service.name, environment)


def config_files(machine: Machine, unit: str, default: Sequence[str], script: str) -> tuple[str, ...]:
    """The files that configure `unit`, whoever's it is; where its command cannot be seen, those read by default."""
    properties = systemd.show(machine, unit, "MainPID", "ExecStart", "WorkingDirectory")
    environment = unit_environment.of(machine, unit)
    try:
        words, more = program.arguments_of(machine, unit, properties, environment)
    except DevswapError:
        words, more = (), {}
    return configuration.files_of(words, machine, default, script, {**environment, **more})


def _front(machine: Machine, addresses: tuple[str, ...]) -> Front | None:
    unit, hosts = sites.in_front_of(machine, sites.units_of(machine), addresses)
    return Front(unit, tuple(url for host in hosts for url in host.urls)) if unit else None


def _examine_hosted(found: Found) -> Deployment:
    machine, service = found.machine, found.service
    text = machine.read_text(found.site) or ""
    python, options = program.of_site(machine, found.site, service)
    site = apache.read(text)
    hosts = site.running(service.project, service.name)
    sites.require_told(machine, found.site, site, service.name, hosts)
    user = options.get("user", "www-data")
    return Deployment(
        service=service,
        machine=machine,
        unit=found.unit,
        user=user,
        group=options.get("group", user),
        command=tuple(host.script for host in hosts[:1] if host.script),
        environment=unit_environment.of(machine, found.unit),
        interpreter=program.interpreter(machine, python, user),
        config_files=_files(machine, service, (), {}),
        forks=False,
        active=found.active,
        hosted=Hosted(
            sites.in_real_folder(machine, found.site), text, sites.listening(machine, found.unit, found.site, hosts)
        ),
        addresses=tuple(url for host in hosts for url in host.urls),
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
        "leaves_root": deployment.leaves_root,
        "uwsgi": deployment.uwsgi.argv if deployment.uwsgi else None,
        "hosted": asdict(deployment.hosted) if deployment.hosted else None,
        "front": asdict(deployment.front) if deployment.front else None,
        "addresses": deployment.addresses,
    }


def from_json(found: Found, read: dict[str, Any]) -> Deployment:
    """The deployment that `as_json` described."""
    python, argv, hosted, front = read["interpreter"], read.get("uwsgi"), read.get("hosted"), read.get("front")
    own = unit_environment.of(found.machine, found.unit)  # ours is not among it: see development.py
    told = _uwsgi_again(found, argv, own) if argv else None
    return Deployment(
        service=found.service,
        machine=found.machine,
        unit=found.unit,
        user=read["user"],
        group=read["group"],
        command=tuple(read["command"]),
        environment=own | (told.environment if told else {}),
        interpreter=Interpreter(python["path"], python["version"], tuple(python["site_folders"]), python["virtualenv"]),
        config_files=tuple(read["config_files"]),
        forks=read["forks"],
        active=read["active"],
        leaves_root=read.get("leaves_root"),
        uwsgi=told,
        hosted=_hosted_again(hosted) if hosted else None,
        front=Front(front["unit"], tuple(front["addresses"])) if front else None,
        addresses=tuple(read.get("addresses", ())),
    )


def _hosted_again(read: dict[str, Any]) -> Hosted:
    return Hosted(read["path"], read["text"], tuple((path, text) for path, text in read.get("listening", ())))


def _uwsgi_again(found: Found, argv: list[str], environment: dict[str, str]) -> uwsgi.Settings:
    folder = program.folder_of(systemd.show(found.machine, found.unit, "WorkingDirectory"))
    return uwsgi.read(argv, found.machine.read_text, environment, folder=folder)


def cloud_of(name: str) -> str:
    """The first word of a container's name with its separator: how the others of its cloud begin."""
    found = re.match("[^-_]*[-_]?", name)
    return found[0] if found else ""


def are_of_one_cloud(first: str, second: str) -> bool:
    """Whether containers of these names are: one that is older than OpenStack-Ansible 29 has the other separator."""
    return cloud_of(first).rstrip("-_") == cloud_of(second).rstrip("-_")
