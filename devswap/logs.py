"""The logs of services in one stream: production's and development's, sorted by time, told apart."""

from __future__ import annotations

import os
import re
import select
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from devswap import locate, log_sources
from devswap.discovery import machines, units
from devswap.errors import UsageError
from devswap.host import Host
from devswap.log_sources import Source
from devswap.process import DEVNULL, PIPE, STDOUT, Popen

_INTERRUPTED = 130
_REQUEST = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?")
_APACHE_TIME = re.compile(r"\[(?P<time>\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d)(?:\.(?P<part>\d+))? (?P<year>\d{4})\]")
_AGO = re.compile(r"(\d+)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COLOURS = (31, 32, 33, 34, 35, 36, 91, 92, 93, 94, 95, 96)
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_BATCH_SECONDS = 0.2


@dataclass(frozen=True)
class Wanted:
    """What of the logs a person wants to see."""

    lines: int | None
    """So many of the last ones; None: all."""
    follow: bool = False
    since: datetime | None = None
    grep: re.Pattern[str] | None = None
    request: str = ""
    colour: bool = False

    def has(self, line: str) -> bool:
        return (self.grep is None or self.grep.search(line) is not None) and self.request in line


@dataclass(frozen=True)
class Line:
    at: datetime
    """Of one that says no time: that of the line before it."""
    source: Source
    text: str


def show(host: Host, name: str, machine: str | None, wanted: Wanted) -> int:
    """Print the logs of a service until their end, or until an interrupt; returns the exit code of their readers."""
    return _show(log_sources.of_service(host, name, machine), wanted, _Marked(wanted).show)


def show_request(host: Host, name: str | None, machine: str | None, wanted: Wanted) -> int:
    """The same of all services in the cloud of `name`; without one in the machines that `machine` names, or in all."""
    machines.require_name(machine)
    beginning = machine.removeprefix("lxc:") if machine else ""
    if name is not None:
        meant = machine or locate.of_only_swap(host, name)
        beginning = units.cloud_of(locate.one(host, host.catalogue().get(name), meant).machine.name)
    named = _Named(wanted)
    code = _show(log_sources.of_cloud(host, beginning), wanted, named.show)
    if not named.shown and not wanted.follow:
        host.say(f"no service has logged anything of {wanted.request} in that time; --since goes back further")
    return code


def moment(text: str, now: datetime) -> datetime:
    """10m, 2h, 1d ago, or a time as logs write it; raises UsageError for anything else."""
    try:
        if match := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--since takes a time, not {text!r}", hint="--since 10m, or --since '2026-01-31 12:00'"
        ) from error


def pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"--grep takes a regular expression, not {text!r}: {error}") from error


def coloured(text: str) -> str:
    """With each request's id in a colour of its own, the same in all lines."""
    return _REQUEST.sub(
        lambda found: f"\033[{_COLOURS[zlib.crc32(found[0].encode()) % len(_COLOURS)]}m{found[0]}\033[0m", text
    )


def time_of(line: str) -> datetime | None:
    """When a line says that it was written; without a zone it is the local time."""
    try:
        if found := _TIME.search(line[:80]):
            return datetime.fromisoformat(found[0].replace(",", ".")).astimezone()
        if found := _APACHE_TIME.match(line):
            told = datetime.strptime(f"{found['time']} {found['year']}", "%a %b %d %H:%M:%S %Y")
            return told.replace(microsecond=int((found["part"] or "0")[:6].ljust(6, "0"))).astimezone()
    except ValueError:
        pass
    return None


class _Marked:
    """One service: a line of its own says where production's words end and development's begin."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted, self._whose = wanted, log_sources.PRODUCTION

    def show(self, line: Line) -> None:
        whose = line.source.whose(line.at, line.text) or self._whose
        if whose != self._whose:
            mark = f"---- {whose}, from {line.at.astimezone().isoformat(sep=' ', timespec='seconds')} on ----"
            print(f"\033[1m{mark}\033[0m" if self._wanted.colour else mark)
            self._whose = whose
        print(coloured(line.text) if self._wanted.colour else line.text, flush=True)


class _Named:
    """Several services: each line says whose it is."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted, self.shown = wanted, 0

    def show(self, line: Line) -> None:
        self.shown += 1
        whose = line.source.whose(line.at, line.text)
        name = f"{line.source.service}{' (development)' if whose == log_sources.DEVELOPMENT else ''}"
        text = coloured(line.text) if self._wanted.colour else line.text
        print(f"{name:<28} {text}", flush=True)


def _show(sources: Sequence[Source], wanted: Wanted, show: Callable[[Line], None]) -> int:
    searched = wanted.grep is not None or wanted.request
    asked = None if searched and not wanted.follow else wanted.lines
    with ExitStack() as until_read:
        readers = []
        for source in sources:
            argv = source.reader(lines=asked, since=wanted.since, follow=wanted.follow)
            # With a terminal of ours for its input the way into the machine would take that over.
            process = source.machine.popen(argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, new_session=False)
            readers.append(Reader(source, until_read.enter_context(process)))
        try:
            batches = followed(readers) if wanted.follow else iter([[line for each in readers for line in each.all()]])
            for lines in batches:
                _show_sorted(lines, wanted, show)
        except KeyboardInterrupt:
            return 0
        finally:
            for each in readers:
                each.end()
    codes = [each.process.returncode for each in readers]
    return next((code for code in codes if code not in (0, _INTERRUPTED, -15)), 0)


def _show_sorted(lines: list[Line], wanted: Wanted, show: Callable[[Line], None]) -> None:
    found = [line for line in sorted(lines, key=lambda line: line.at) if wanted.has(line.text)]
    if wanted.since:
        found = [line for line in found if line.at >= wanted.since]
    for line in found if wanted.lines is None or wanted.follow else found[-wanted.lines :] if wanted.lines else []:
        show(line)


def followed(readers: list[Reader]) -> Iterator[list[Line]]:
    """What comes, a few at a time, until all have ended."""
    open_ones = {each.descriptor: each for each in readers}
    while open_ones:
        ready, _, _ = select.select(list(open_ones), [], [])
        until, lines = time.monotonic() + _BATCH_SECONDS, []
        while ready:
            for descriptor in ready:
                found = open_ones[descriptor].more()
                if found is None:
                    del open_ones[descriptor]
                lines += found or []
            left = until - time.monotonic()
            ready = select.select(list(open_ones), [], [], left)[0] if open_ones and left > 0 else []
        yield lines


@dataclass
class Reader:
    """What prints one log, and what it has printed so far."""

    source: Source
    process: Popen[bytes]
    _rest: bytes = b""
    _at: datetime = field(default=_BEGINNING)

    @property
    def descriptor(self) -> int:
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        return self.process.stdout.fileno()

    def all(self) -> list[Line]:
        """Everything, to its end."""
        read, _ = self.process.communicate()
        return [self._line(text) for text in read.splitlines()]

    def more(self) -> list[Line] | None:
        """Whole lines that can be read now; None at the end."""
        read = os.read(self.descriptor, 65536)
        if not read and self._rest:
            read = b"\n"
        if not read:
            return None
        *lines, self._rest = (self._rest + read).split(b"\n")
        return [self._line(text.rstrip(b"\r")) for text in lines]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()

    def _line(self, text: bytes) -> Line:
        line = text.decode(errors="replace")
        self._at = time_of(line) or self._at
        return Line(self._at, self.source, line)
