"""Pushes steps and pops them: the heart of the promise that production comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from devswap.errors import DevswapError, NotWhole
from devswap.journal import Entry, Journal
from devswap.steps.step import Cloud, Step, from_json


def apply(steps: Iterable[Step], journal: Journal, cloud: Cloud) -> None:
    """Do each step once what undoes it is on disk. A failing step is left to `rollback`, its entry included."""
    for step in steps:
        captured = step.capture(cloud)
        journal.push(Entry(step.as_json(), captured))
        step.do(cloud)


def repeat(journal: Journal, cloud: Cloud) -> None:
    """Do the journal's steps again without capturing: a restarted machine has lost what lies in its /run."""
    for entry in journal.entries:
        step = from_json(entry.step)
        if not step.outlives_restart:
            step.do(cloud)


def rollback(journal: Journal, cloud: Cloud) -> None:
    """Undo every step, last first, until the journal is empty.

    Raises NotWhole at the first undo that fails; its entry stays, and the next rollback goes on from there.
    """
    withdraw(journal, cloud, lambda step: True)  # noqa: ARG005


def withdraw(journal: Journal, cloud: Cloud, chosen: Callable[[Step], bool]) -> None:
    """Undo the `chosen` steps, last first, and leave the others done: a switch of checkouts replaces its mounts."""
    for entry in reversed(journal.entries):
        step = from_json(entry.step)
        if not chosen(step):
            continue
        try:
            step.undo(cloud, entry.captured)
        except (DevswapError, OSError) as error:
            _, backward = step.describe()
            raise NotWhole(
                f"cannot {backward} in {step.on}: {error}", hint=f"devswap restore {journal.swap.service} goes on here"
            ) from error
        journal.drop(entry)
