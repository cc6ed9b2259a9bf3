"""Where the log of a service is: systemd's journal of its machine, or files of its own."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from devswap import apache, development, locate, transcript, unit_file, way
from devswap.configuration import Configuration, files_of
from devswap.discovery import units
from devswap.discovery.units import Found
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.journal import Journal
from devswap.machine import Machine, name_of
from devswap.service import Service

_THIS_HOST = "local:"
_SYSTEMD = re.compile(r" systemd\[1\]: ")
PRODUCTION, DEVELOPMENT = "production", "development"
_STREAM = re.compile(r"(?:append|file|truncate):(/.*)")
_APACHE = re.compile(r"\$\{APACHE_LOG_DIR\}")
# Where a host has no ErrorLog of its own: Debian's, and httpd's.
_APACHES_OWN = ("/var/log/apache2/error.log", "/var/log/httpd/error_log")


@dataclass(frozen=True)
class Source:
    """One log: `unit`'s in the journal, or a file."""

    service: str
    machine: Machine
    unit: str = ""
    file: str = ""
    swapped: datetime | None = None
    """What is in it from then on is development's; in the journal development has a name of its own besides."""

    def reader(self, *, lines: int | None, since: datetime | None, follow: bool) -> list[str]:
        """The command that prints it; the last `lines`, or everything."""
        if self.file:
            flags = ["--follow=name", "--retry"] if follow else []
            return ["tail", f"--lines={'+1' if lines is None else lines}", *flags, "--", self.file]
        found = ["journalctl", "--no-pager", "--output=short-iso-precise", f"--unit={self.unit}"]
        found += [] if lines is None else [f"--lines={lines}"]
        found += [f"--since=@{since.timestamp():.0f}"] if since else []
        return [*found, *(["--follow"] if follow else []), *(["--no-tail"] if follow and lines is None else [])]

    def whose(self, at: datetime | None, text: str) -> str | None:
        """Whether production or development wrote `text` at that time; None for systemd's own words on both."""
        if self.unit and f" {development.log_name(self.service)}[" in text:
            return DEVELOPMENT
        if self.unit and _SYSTEMD.search(text):
            return None
        return DEVELOPMENT if self.swapped and at and at >= self.swapped else PRODUCTION


def of_service(host: Host, name: str, wanted: str | None) -> list[Source]:
    """Production's, and development's while it is swapped."""
    service = host.catalogue().get(name)
    if swapped := locate.swap_if_any(host, name, wanted):
        return list(_of_swap(host, service, swapped))
    return list(_of_place(locate.one(host, service, wanted), None))


def of_cloud(host: Host, beginning: str) -> list[Source]:
    """Of every service that runs in a machine whose name begins so."""
    swaps = [each for each in host.journals.all() if name_of(each.swap.machine).startswith(beginning)]
    catalogue, found = host.catalogue(), []
    known = {service.name for service in catalogue}
    for journal in swaps:
        if journal.swap.service in known:
            found += list(_of_swap(host, catalogue.get(journal.swap.service), journal))
    places = {(each.swap.service, each.swap.machine) for each in swaps}
    for place in units.find(catalogue, [each for each in host.running() if each.name.startswith(beginning)]):
        if place.active and (place.service.name, place.machine.address) not in places:
            found += list(_of_place(place, None))
    return list(dict.fromkeys(found))


def _of_swap(host: Host, service: Service, journal: Journal) -> Iterator[Source]:
    swap, said = journal.swap, transcript.path(journal)
    machine, since = host.machine(swap.machine), datetime.fromisoformat(swap.stopped or swap.since)
    hosted = swap.deployment.get("hosted")
    if hosted:
        yield from _files(service, machine, _of_apache(machine, service, hosted["text"]), since)
    else:
        for place in units.find([service], [machine]):
            yield from _files(service, machine, _of_unit(place), since)
    if not way.is_in_apache(swap):
        yield Source(service.name, machine, unit=swap.unit, swapped=since)
    if said.exists():  # what it wrote on a terminal is in no other log
        yield Source(service.name, host.machine(_THIS_HOST), file=str(said), swapped=since)


def _of_place(found: Found, swapped: datetime | None) -> Iterator[Source]:
    text = found.machine.read_text(found.site) if found.site else None
    files = _of_apache(found.machine, found.service, text or "") if found.site else _of_unit(found)
    if files:
        yield from _files(found.service, found.machine, files, swapped)
    else:
        yield Source(found.service.name, found.machine, unit=found.unit, swapped=swapped)


def _files(service: Service, machine: Machine, paths: Sequence[str], swapped: datetime | None) -> Iterator[Source]:
    for path in paths:
        yield Source(service.name, machine, file=path, swapped=swapped)


def _of_unit(found: Found) -> list[str]:
    """The log files that production's configuration names, if it keeps any; the journal holds everything else."""
    try:
        told = units.uwsgi_of(found)
    except DevswapError:  # how it is told matters to a swap; its log may well be in the journal
        told = None
    words = told.arguments if told else units.started(found)
    paths = _of_configuration(found.machine, found.service, [found.unit.removesuffix(".service")], words)
    return _existing(found.machine, [*paths, *(told.logs if told else ()), *_of_streams(found)])


def _of_streams(found: Found) -> list[str]:
    """The files that its unit's own streams go to."""
    text = found.machine.read_text(found.file) or ""
    said = [value for name in ("StandardOutput", "StandardError") for value in unit_file.values(text, name)]
    return [match[1] for value in said if (match := _STREAM.fullmatch(value))]


def _of_apache(machine: Machine, service: Service, site: str) -> list[str]:
    """The error logs of its hosts, and its own files, which are named after the scripts."""
    hosts = apache.read(site).running(service.project, service.name)
    said = [host.one("ErrorLog") for host in hosts]
    errors = [_APACHE.sub("/var/log/apache2", path) for path in said if path]
    errors += [] if all(said) else _APACHES_OWN
    own = _of_configuration(machine, service, [posixpath.basename(host.script or "") for host in hosts])
    return _existing(machine, [*errors, *own])


def _of_configuration(machine: Machine, service: Service, names: Sequence[str], words: Sequence[str] = ()) -> list[str]:
    """Where oslo.log writes: by its command line (`words`), its files, or one of `names` where nobody says."""
    read = Configuration.of(machine, files_of(words, machine, service.config, service.name), {})
    folder = _said(words, "--log-dir", "--logdir") or read.get("DEFAULT", "log_dir")
    file = _said(words, "--log-file", "--logfile") or read.get("DEFAULT", "log_file")
    files = [file] if file else [f"{name}.log" for name in names]
    return [f"{folder}/{name}" if folder and not name.startswith("/") else name for name in files]


def _said(words: Sequence[str], *options: str) -> str | None:
    """The value of the last of these options on a command line."""
    pairs = zip(words, [*words[1:], ""], strict=False)
    found = [word.partition("=")[2] or after for word, after in pairs if word.partition("=")[0] in options]
    return found[-1] if found else None


def _existing(machine: Machine, paths: Sequence[str]) -> list[str]:
    return [path for path in dict.fromkeys(paths) if path.startswith("/") and machine.exists(path)]
