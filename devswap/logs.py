"""A service's log, from where its machine keeps it: systemd's journal, or files of its own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from devswap import apache, locate, way
from devswap.configuration import Configuration, files_of
from devswap.discovery import units
from devswap.discovery.units import Found
from devswap.host import Host
from devswap.locate import is_meant
from devswap.machine import Machine
from devswap.service import Service

_INTERRUPTED = 130
_APACHE = re.compile(r"\$\{APACHE_LOG_DIR\}")


def show(host: Host, name: str, wanted: str | None, *, follow: bool, lines: int) -> int:
    """Print the log on stdout until its end, or with `follow` until an interrupt; returns the reader's exit code."""
    service = host.catalogue().get(name)
    swaps = [
        journal.swap for journal in host.journals.all() if journal.swap.service == name and is_meant(journal, wanted)
    ]
    if swaps:
        machine, unit = host.machine(swaps[0].machine), swaps[0].unit
        hosted = swaps[0].deployment.get("hosted") if way.is_in_apache(swaps[0]) else None
        files = _of_apache(machine, service, hosted["path"]) if hosted else []
    else:
        found = locate.one(host, service, wanted)
        machine, unit = found.machine, found.unit
        files = _of_apache(machine, service, found.site) if found.site else _of_unit(found)
    return _follow(machine, _reader(unit, files, follow=follow, lines=lines))


def _reader(unit: str, files: list[str], *, follow: bool, lines: int) -> list[str]:
    if files:
        return ["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follow else []), "--", *files]
    flags = ["--follow"] if follow else []
    return ["journalctl", "--no-pager", "--output=short-iso", f"--unit={unit}", f"--lines={lines}", *flags]


def _of_unit(found: Found) -> list[str]:
    """The log files that production's configuration names, if it keeps any; the journal holds everything else."""
    told = units.uwsgi_of(found)
    paths = _of_configuration(found.machine, found.service, [found.unit.removesuffix(".service")])
    return _existing(found.machine, [*paths, *([told.log] if told and told.log else [])])


def _of_apache(machine: Machine, service: Service, path: str) -> list[str]:
    """The error logs of its hosts, and its own files, which are named after the scripts."""
    hosts = apache.read(machine.read_text(path) or "").running(service.project)
    errors = [_APACHE.sub("/var/log/apache2", host.one("ErrorLog") or "") for host in hosts]
    own = _of_configuration(machine, service, [posixpath.basename(host.script or "") for host in hosts])
    return _existing(machine, [*errors, *own])


def _of_configuration(machine: Machine, service: Service, names: Sequence[str]) -> list[str]:
    """Where oslo.log writes; `names` are what it may call its file where nobody has said."""
    read = Configuration.of(machine, files_of((), machine, service.config, service.name), {})
    folder, file = read.get("DEFAULT", "log_dir"), read.get("DEFAULT", "log_file")
    files = [file] if file else [f"{name}.log" for name in names]
    return [f"{folder}/{name}" if folder and not name.startswith("/") else name for name in files]


def _existing(machine: Machine, paths: Sequence[str]) -> list[str]:
    return [path for path in dict.fromkeys(paths) if path.startswith("/") and machine.exists(path)]


def _follow(machine: Machine, argv: list[str]) -> int:
    with machine.popen(argv, new_session=False) as reader:
        try:
            code = reader.wait()
        except KeyboardInterrupt:
            reader.terminate()
            return 0
    # On a terminal the machine's own end of it turns Ctrl-C into the reader's SIGINT; we never hear of it.
    return 0 if code == _INTERRUPTED else code
