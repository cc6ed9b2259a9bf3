"""devswap status."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from devswap import arguments, console, newest, overlay_table, session, status
from devswap.commands import examples
from devswap.errors import UsageError
from devswap.host import Host
from devswap.machine import shown
from devswap.masking import mask

app = typer.Typer(rich_markup_mode=None, add_completion=False)


_EVERY_SECONDS = 2.0
_BOLD, _GREEN, _RED = "1", "32", "31"


@app.command(
    epilog=examples(
        "devswap status",
        "devswap status --watch",
        "devswap status --check && echo all well",
    )
)
def show(
    as_json: arguments.AsJson = False,  # noqa: FBT002
    check: Annotated[bool, typer.Option("--check", help="Exit 1 unless every swap is healthy.")] = False,  # noqa: FBT002
    watch: Annotated[  # noqa: FBT002
        bool, typer.Option("--watch", help=f"Go on, looking every {_EVERY_SECONDS:.0f} s, until Ctrl-C.")
    ] = False,
) -> None:
    """Show what is swapped, and whether it serves.

    The machines are asked; nothing is just repeated from the journal.
    """
    _require_possible(as_json=as_json, check=check, watch=watch)
    host = session.open_host_to_restore()
    if watch:
        _watch(host)
        return
    swaps = [status.of(host, journal) for journal in host.journals.all()]
    unreadable = host.journals.unreadable()
    if as_json:
        console.show_json({"swaps": [asdict(swap) for swap in swaps]})
    elif not swaps and not unreadable:
        print(status.nothing(host))
    for line in [] if as_json else [line for swap in swaps for line in _lines(swap)]:
        print(line)
    for error in unreadable:
        raise error
    if check and not all(swap.healthy for swap in swaps):
        raise typer.Exit(1)


def _require_possible(*, as_json: bool, check: bool, watch: bool) -> None:
    if watch and (as_json or check):
        raise UsageError(f"--watch goes without {'--json' if as_json else '--check'}", hint="leave one of them out")
    if watch and not sys.stdout.isatty():
        raise UsageError("--watch needs a terminal", hint="devswap status --json, as often as you like")


def _watch(host: Host) -> None:
    """The same on one place of the terminal, again and again."""
    from rich.live import Live  # only here: to import it takes longer than everything else of status
    from rich.text import Text

    with Live(auto_refresh=False) as live, suppress(KeyboardInterrupt):
        while True:
            live.update(Text.from_ansi("\n".join(_frame(host))), refresh=True)
            time.sleep(_EVERY_SECONDS)


def _frame(host: Host) -> list[str]:
    swaps = [status.of(host, journal) for journal in host.journals.all()]
    wrong = [error.message for error in host.journals.unreadable()]
    lines = [line for swap in swaps for line in _lines(swap)]
    return [*(lines or ([] if wrong else [status.nothing(host)])), *wrong, f"{datetime.now():%H:%M:%S}, until Ctrl-C"]


def _lines(swap: status.SwapStatus) -> list[str]:
    """What a person wants to know of one swap."""
    name = console.styled(swap.service, _BOLD, stream=sys.stdout)
    what = f"{swap.state}, {'serving' if swap.serving else 'not serving'}"
    what = console.styled(what, _GREEN if swap.healthy else _RED, stream=sys.stdout)
    lines = [
        f"{name} in {shown(swap.machine)}: {what} ({mask(swap.why)})",
        "  " + "  ".join(filter(None, (swap.ref, _commit(swap), swap.subject))),
        f"  {swap.mode} by {swap.owner} since {swap.since}",
        *_review(swap.review, indent=2),
        *([f"  checkout: {swap.checkout}"] if swap.checkout else []),
    ]
    for each in swap.libraries:
        lines += [
            f"  with {each['name']} {each['version']}: {each['ref']}  {each['commit'][:12]}  {each['subject']}",
            *_review(each["review"], indent=4),
            f"    checkout: {each['checkout']}",
        ]
    lines += [f"  packages: {overlay_table.summary(swap.packages)}"] if swap.packages else []
    for each in swap.edited:
        lines.append(f"  own copy: {each['path']}{'' if each['seen'] else ', from its next start on'}")
    for name, others in swap.held_with.items():
        lines.append(f"  the {name} is held by {', '.join(others)} too")
    unmet = [f"breakpoint: {text}" for text in swap.not_loaded]
    told = dict.fromkeys(unmet, " (its module is not loaded so far)")
    lines += [f"  {line}{told.get(line, '')}" for line in swap.tuning.lines()]
    lines += [f"  its callers wait {swap.patient} s for an answer"] if swap.patient else []
    return [*lines, *([f"  stopped, so that it gets every message: {', '.join(swap.only)}"] if swap.only else [])]


def _commit(swap: status.SwapStatus) -> str:
    """The commit that was checked out, and what has become of it."""
    now = swap.head[:12] if swap.head not in ("", swap.commit) else ""
    edited = f"{swap.edits} file{'s' if swap.edits > 1 else ''} edited" if swap.edits else ""
    more = ", ".join(filter(None, (f"now {now}" if now else "", edited)))
    return f"{swap.commit[:12]} ({more})" if more else swap.commit[:12]


def _review(review: dict[str, Any] | None, *, indent: int) -> list[str]:
    return [f"{' ' * indent}{newest.told(review)}"] if review else []
