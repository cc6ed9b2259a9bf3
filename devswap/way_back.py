"""Keeps `restore.sh` beside each journal: the way back for a person, without devswap, in plain shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devswap.journal import Journal, write_durably
from devswap.shared import Record, Shelf
from devswap.steps.step import Cloud, Step, from_json


def write(journal: Journal, cloud: Cloud) -> None:
    """Bring the script up to date with the journal; written before each step is done, and after each is undone."""
    swap = journal.swap
    lines = [
        "#!/bin/sh",
        f"# Gives {swap.service} in {swap.machine} back to production, without devswap.",
        f"# devswap restore {swap.service} does the same, waits for what still works on a database, and proves it;",
        "# this is for when there is no devswap.",
        "# Read it, then run it as root. Each line may be run again.",
        "set -x",
    ]
    for entry in reversed(journal.entries):
        step, captured, vault = from_json(entry.step), entry.captured, journal.folder
        if step.shared is not None:
            record = Shelf(cloud.shared).find(step.shared)
            if record is None:
                lines += ["", f"# the {step.shared} is as it was: there is nothing to put back"]
                continue
            step, captured, vault = _shared(step, record, cloud)
            others = [holder for holder in record.holders if holder != journal.folder.name]
            if others and not step.at_once:
                lines += [
                    "",
                    f"# {step.describe()[1]}: not yet, since {', '.join(others)} holds the {step.shared} too.",
                    "# When those are given back, take the # off these lines and run them:",
                    *(f"# {line}" for line in step.by_hand(captured, vault)),
                    *(f"# {line}" for line in step.by_hand_at_last(captured, vault)),
                ]
                continue
        lines += ["", f"# {step.describe()[1]}", *step.by_hand(captured, vault)]
        if last := step.by_hand_at_last(captured, vault):
            lines += [*_at_once(journal, cloud), *last]
    lines += [
        "",
        "# That is all. devswap restore compares, and forgets the swap. Without a devswap that can, forget it by hand:",
        *(f"# rm -r {shlex.quote(str(folder))}" for folder in _remembered(journal, cloud)),
    ]
    write_durably(journal.folder / "restore.sh", ("\n".join(lines) + "\n").encode(), mode=0o700)


def _shared(step: Step, record: Record, cloud: Cloud) -> tuple[Step, Any, Path]:
    """(what undoes it, what was captured, where that lies)."""
    return step.of_capture(from_json(record.step)), record.captured, Shelf(cloud.shared).vault(record.name)


def _at_once(journal: Journal, cloud: Cloud) -> Iterator[str]:
    """What everybody needs who starts after a load."""
    for step in (from_json(entry.step) for entry in reversed(journal.entries)):
        record = Shelf(cloud.shared).find(step.shared) if step.at_once and step.shared else None
        if record is not None:
            shared, captured, vault = _shared(step, record, cloud)
            yield from shared.by_hand(captured, vault)


def _remembered(journal: Journal, cloud: Cloud) -> Iterator[Path]:
    """The swap's own folder, and those of the captures that nobody else holds."""
    yield journal.folder
    shelf = Shelf(cloud.shared)
    for record in shelf.held_by(journal.folder.name):
        if record.holders == (journal.folder.name,):
            yield shelf.vault(record.name)
