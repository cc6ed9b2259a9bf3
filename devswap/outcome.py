"""Renders what the use cases return, where several commands show the same."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict

from devswap import claims, console, newest, overlay_table
from devswap.errors import NotWhole
from devswap.foreground import Ended
from devswap.host import Host
from devswap.journal import Journal
from devswap.several_runs import Endings
from devswap.swap import Planned


def show_run(host: Host, service: str, ended: Ended | None, *, given_back: bool = False) -> None:
    """The last line says how to go on and how to go back; a service that died by itself is exit 3."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # more Ctrl-C than were needed change nothing any more
    ours = _ours(host, service)
    called = ours.called if ours is not None else service
    if ended is None:
        print(f"{service} runs in the background; devswap logs {called} -f shows it, devswap restore {called} ends it")
        return
    if given_back or not _left(host, [service]):
        return
    if not ended.by_user:
        raise NotWhole(
            f"{service} ended by itself; production is still held",
            hint=f"devswap run {called} starts it again, devswap restore {called} gives production back",
        )
    print(f"{service} is stopped, and still swapped", file=sys.stderr)
    print(f"  again: devswap run {called}    back: devswap restore {called}", file=sys.stderr)


def show_runs(host: Host, services: Sequence[str], ended: Endings | None, *, given_back: bool = False) -> None:
    """As `show_run`, for several at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if ended is None:
        names = " ".join(services)
        print(f"{', '.join(services)} run in the background; devswap restore {names} ends them")
        return
    left = [] if given_back else _left(host, services)
    names = " ".join(left)
    died = [name for name in left if not ended[name].by_user]
    if died:
        raise NotWhole(
            f"{', '.join(died)} ended without Ctrl-C; production is still held",
            hint=f"devswap run {names} starts them again, devswap restore {names} gives production back",
        )
    if left:
        print(f"{', '.join(left)} {'are' if len(left) > 1 else 'is'} stopped, and still swapped", file=sys.stderr)
        print(f"  again: devswap run {names}    back: devswap restore {names}", file=sys.stderr)


def _ours(host: Host, service: str) -> Journal | None:
    """The swap that this devswap has run last."""
    found = [
        each for each in host.journals.all() if (each.swap.service, each.swap.owner.pid) == (service, host.owner.pid)
    ]
    return found[-1] if found else None


def _left(host: Host, services: Sequence[str]) -> list[str]:
    """Those that are as their run has left them; what another devswap has done meanwhile is said of the others."""
    left = []
    for service in services:
        journal = _ours(host, service)
        path = journal and host.journals.claim_path(service, journal.swap.machine)
        holder = claims.holder(path) if path else None
        if holder is not None:
            told = f"is in the hands of {claims.where(holder)} now: devswap {holder.doing}"
        elif journal is None:
            told = "is given back, or run by another devswap: devswap status shows which"
        else:
            left.append(service)
            continue
        print(f"{service} has ended here, and {told}", file=sys.stderr)
    return left


def show_plan(planned: Planned, *, as_json: bool) -> None:
    """Each step with its undo."""
    if as_json:
        console.show_json({**asdict(planned)})
        return
    print(f"{planned.service} in {planned.machine}, from {planned.ref} ({planned.commit[:12]} {planned.subject})")
    if planned.review:
        print(f"  {newest.told(planned.review)}")
    for each in planned.libraries:
        print(f"  with {each['name']} {each['version']}: {each['ref']} ({each['commit'][:12]} {each['subject']})")
        if each["review"]:
            print(f"    {newest.told(each['review'])}")
    rows = [(str(number), step["do"], step["undo"]) for number, step in enumerate(planned.steps, 1)]
    console.show_table(("", "STEP", "WAY BACK"), rows)
    print()
    if planned.installs:
        console.show_table(overlay_table.HEADER, overlay_table.rows(planned.installs))
    else:
        print("nothing is installed: production has what the checkout needs")
