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
            if not step.at_once:
                by_hand = [*step.by_hand(captured, vault), *_last(step, captured, vault, journal, cloud)]
                lines += ["", f"# {step.describe()[1]}", *_unless_held(step, vault, journal, by_hand)]
                continue
        lines += ["", f"# {step.describe()[1]}", *step.by_hand(captured, vault)]
        lines += _last(step, captured, vault, journal, cloud)
    lines += [
        "",
        "# That is all. devswap restore compares, and forgets the swap. Without a devswap that can, forget it by hand:",
        *(f"# rm -r {shlex.quote(str(folder))}" for folder in _remembered(journal, cloud)),
    ]
    write_durably(journal.folder / "restore.sh", ("\n".join(lines) + "\n").encode(), mode=0o700)


def _last(step: Step, captured: Any, vault: Path, journal: Journal, cloud: Cloud) -> list[str]:
    last = step.by_hand_at_last(captured, vault)
    return [*_at_once(journal, cloud), *last] if last else []


def _unless_held(step: Step, vault: Path, journal: Journal, by_hand: list[str]) -> list[str]:
    """The record is asked when the script runs: others come and go, and do not write this script anew."""
    record, own = shlex.quote(str(vault / "record.json")), shlex.quote(f'"{journal.folder.name}"')
    holders = f"sed -n '/^ \"holders\": \\[/,/^ \\]/p' {record} | grep '@' | grep -vF {own}"
    return [
        f"if [ -e {record} ] && {holders}; then",
        f"  echo {shlex.quote(f'they hold the {step.shared} too: run this again when they are given back')}",
        "else",
        *(f"  {line}" for line in by_hand or [":"]),
        "fi",
    ]


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
