"""devswap on a real cloud that tries each step of some kinds out before it does it, and writes down what it saw.

    python -m tests.integration.laws ERA REPORT KIND[,KIND…] checkout …

A step is captured, undone alone, done, undone and undone again, where a swap has it and as its journal has it; after
each of these the machines are looked at with their own tools. Then it is done for good, and the swap goes on.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from devswap import cli, transaction
from devswap.journal import Entry, Journal, Swap
from devswap.machine import name_of
from devswap.shared import Shelf
from devswap.steps.mount import MountPassing
from devswap.steps.step import Cloud as Place
from devswap.steps.step import Step, from_json
from devswap.steps.values import PutBackValues
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud
from tests.integration.through_haproxy import FILES, balancer

# Not the times of files: what was done and undone was written. Keys rotate, and timers of the distribution run.
_LOOK = r"""
exec 2>/dev/null
section() { printf '\n== %s\n' "$1"; }
own=/run/devswap
places="/etc/apache2 /etc/heat/ /etc/keystone /etc/systemd /run/systemd/system /run/systemd/transient $own"
section files
find $places -not -path '*-keys/*' -not -path "$own/*/*/*/*" -printf '%p %y %l %U:%G %m\n' | sort
section content
find -L $places -type f -not -path '*-keys/*' -not -path "$own/*" -exec sha256sum {} + | sort
section units
systemctl list-units --all --plain --no-legend 'apache2*' 'heat*' 'keystone*' 'devswap*' | sort
for unit in apache2 heat-engine heat-api keystone-wsgi-public; do
    systemctl show $unit -p Id,LoadState,ActiveState,SubState,UnitFileState,DropInPaths,FragmentPath,User,Environment
done
section mounts
cut -d' ' -f5,6 /proc/1/mountinfo | grep -v ^/run/credentials | sort
section processes
cat /proc/[0-9]*/cmdline | tr '\0' '\n' | grep '[/]run/devswap/'
ss -Hltn | awk '{print $4}' | sort
"""
_BEATS = "service"
"""Of heat's tables the one in which its engines note every minute that they live."""
_SETTLED = 20.0
"""Workers come and go with a reload: how long the machines may take to look the same."""
# Columns 6 and 7 are what HAProxy's checks find, and what somebody has said: management.txt, "show servers state"
_STATES = """
import socket
with socket.socket(socket.AF_UNIX) as admin:
    admin.connect("/var/run/haproxy.stat")
    admin.sendall(b"show servers state\\n")
    for line in admin.makefile():
        words = line.split()
        if len(words) > 7 and words[0].isdecimal():
            print(words[1], words[3], int(words[6]) & ~0x20, "backup" if words[9] == "b" else "")
"""


@dataclass
class Trial:
    """What came of one step; lines of `broken` tell which law, and what differed."""

    kind: str
    does: str
    changed: list[str] = field(default_factory=list)
    """What differed once it was done."""
    broken: list[str] = field(default_factory=list)


def look(cloud: Cloud, swap: Swap) -> dict[str, str]:
    """All that the steps of a swap change: in its machine, HAProxy and its project's database."""
    text = cloud.run(["sh", "-c", _LOOK], on=name_of(swap.machine), ok=False).stdout
    found = dict(part.split("\n", 1) for part in text.split("\n== ")[1:] if "\n" in part)
    found["HAProxy's files"] = cloud.sh(FILES, on=balancer(cloud))
    found["HAProxy's servers"] = cloud.run(["python3", "-c", _STATES], on=balancer(cloud)).stdout
    found["schema"] = cloud.schema(swap.project)
    tables = [f"`{name}`" for name in cloud.sql("SHOW TABLES", swap.project).split() if name != _BEATS]
    found["rows"] = cloud.sql(f"CHECKSUM TABLE {', '.join(tables)}", swap.project)
    if swap.project == "heat":
        found[_BEATS] = cloud.sql(f"SELECT id, host, engine_id, report_interval FROM {_BEATS} ORDER BY id")
    return found


def seen_after(cloud: Cloud, swap: Swap, before: Mapping[str, str]) -> list[str]:
    """What differs from `before` even when all that ends by itself has ended."""
    until = time.monotonic() + _SETTLED
    while (different := clouds.differences(dict(before), look(cloud, swap))) and time.monotonic() < until:
        time.sleep(0.5)
    return different


def try_out(step: Step, journal: Journal, place: Place, cloud: Cloud) -> Trial:
    """The laws, of one step where the swap has it; afterwards nothing is known of it any more."""
    trial, before = Trial(step.kind, step.describe()[0]), look(cloud, journal.swap)

    def hold(law: str) -> None:
        trial.broken.extend(f"{law}: {line}" for line in seen_after(cloud, journal.swap, before))

    captured = transaction._capture(step, journal, place)
    entry = Entry(step.as_json(), captured)
    journal.push(entry)
    hold("a capture changes nothing")
    undo = _undo_of(entry, place)
    with _kept(step):
        undo()
    hold("an undo alone changes nothing")
    with _kept(step):
        step.do(place)
        _follow(step, cloud)
        trial.changed = clouds.differences(before, look(cloud, journal.swap))
        undo()
    hold("a step and its undo leave all as it was")
    with _kept(step):
        undo()
    hold("an undo twice is as once")
    with _kept(step):
        transaction.withdraw(journal, place, lambda each: each == step)
    hold("what is withdrawn is undone")
    return trial


def _undo_of(entry: Entry, place: Place) -> Callable[[], None]:
    """As it is read back from the journal."""
    told = json.loads(json.dumps([entry.step, entry.captured]))
    step, captured = from_json(told[0]), told[1]
    if step.shared is not None:
        record = Shelf(place.shared).find(step.shared)
        assert record is not None
        place = replace(place, vault=Shelf(place.shared).vault(step.shared))
        step, captured = from_json(record.step), record.captured
    return lambda: step.undo(place, captured)


@contextmanager
def _kept(step: Step) -> Iterator[None]:
    """The folder of a mount that is only for one swap goes with it: that it is there again is the test's own."""
    if not isinstance(step, MountPassing):
        yield
        return
    source = Path(step.source)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(source, Path(folder, "kept"))
        owner = source.stat()
        yield
        if not source.exists():
            shutil.copytree(Path(folder, "kept"), source)
            shutil.chown(source, owner.st_uid, owner.st_gid)


def _follow(step: Step, cloud: Cloud) -> None:
    """What is done after a step that only remembers: newer code raises the values."""
    if isinstance(step, PutBackValues):
        column = f"`{step.column}`"
        cloud.sql(f"UPDATE `{step.table}` SET {column} = {column} + 1", step.sources[0].name)


def main() -> None:
    era, report, wanted, *command = sys.argv[1:]
    found = clouds.find(era)
    assert found is not None
    kinds, apply = set(wanted.split(",")), transaction.apply

    def tried(steps: Iterable[Step], journal: Journal, cloud: Place) -> None:
        for step in steps:
            if step.kind in kinds:
                _add(Path(report), vars(try_out(step, journal, cloud, found)))
            apply([step], journal, cloud)

    transaction.apply = tried
    sys.argv[1:] = command
    cli.main()


def _add(report: Path, line: Mapping[str, Any]) -> None:
    with report.open("a") as file:
        print(json.dumps(line), file=file)


def read(report: Path) -> list[Trial]:
    return [Trial(**json.loads(line)) for line in report.read_text().splitlines()]


if __name__ == "__main__":
    main()
