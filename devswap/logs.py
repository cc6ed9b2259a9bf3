"""A service's log, from where its machine keeps it: systemd's journal, or files of its own."""

from __future__ import annotations

from devswap import locate
from devswap.configuration import Configuration, files_of
from devswap.host import Host
from devswap.machine import Machine
from devswap.service import Service

_INTERRUPTED = 130


def show(host: Host, name: str, wanted: str | None, *, follow: bool, lines: int) -> int:
    """Print the log on stdout until its end, or with `follow` until an interrupt; returns the reader's exit code."""
    service = host.catalogue().get(name)
    swapped = [journal.swap for journal in host.journals.all() if journal.swap.service == name]
    if swapped and wanted is None:
        machine, unit = host.machine(swapped[0].machine), swapped[0].unit
    else:
        found = locate.one(host, service, wanted)
        machine, unit = found.machine, found.unit
    files = [] if swapped else _files(machine, service, unit)
    return _follow(machine, _reader(unit, files, follow=follow, lines=lines))


def _reader(unit: str, files: list[str], *, follow: bool, lines: int) -> list[str]:
    if files:
        return ["tail", f"--lines={lines}", *(["--follow=name", "--retry"] if follow else []), "--", *files]
    flags = ["--follow"] if follow else []
    return ["journalctl", "--no-pager", "--output=short-iso", f"--unit={unit}", f"--lines={lines}", *flags]


def _files(machine: Machine, service: Service, unit: str) -> list[str]:
    """The log file that production's configuration names, if it keeps one; the journal holds everything else."""
    read = Configuration.of(machine, files_of((), machine, service.config, service.name), {})
    folder, file = read.get("DEFAULT", "log_dir"), read.get("DEFAULT", "log_file")
    names = [file] if file else [f"{unit.removesuffix('.service')}.log"]
    paths = [f"{folder}/{name}" if folder and not name.startswith("/") else name for name in names]
    return [path for path in paths if path.startswith("/") and machine.exists(path)]


def _follow(machine: Machine, argv: list[str]) -> int:
    with machine.popen(argv, new_session=False) as reader:
        try:
            code = reader.wait()
        except KeyboardInterrupt:
            reader.terminate()
            return 0
    # On a terminal the machine's own end of it turns Ctrl-C into the reader's SIGINT; we never hear of it.
    return 0 if code == _INTERRUPTED else code
