"""devswap attach."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from devswap import arguments, claims, console, kept_runs, kept_terminal, locate, session
from devswap.commands import examples
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.journal import Journal
from devswap.kept_terminal import Kept

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap attach",
        "devswap attach heat-engine",
    )
)
def attach(
    service: Annotated[
        str | None,
        typer.Argument(metavar="[SERVICE]", help="One that runs with --detach; default: show all."),
    ] = None,
    machine: arguments.Machine = None,
    take_over: Annotated[  # noqa: FBT002
        bool, typer.Option("--take-over", help="Even if it is another user's; what both type goes to the service.")
    ] = False,
) -> None:
    """Come back to the terminal of a service that runs in the background.

    The very same session, a prompt included, also after a lost connection. Ctrl-] leaves it running, Ctrl-C stops the
    service as on any terminal. Without SERVICE: what there is, and who is attached.
    """
    host = session.open_host()
    if service is None:
        _show(host)
        return
    journal = locate.swap(host, service, machine)
    locate.require_owner(host, journal, take_over=take_over)
    found = _of(host, journal)
    also = f"; also attached: {found.people}" if found.attached else ""
    host.say(f"this is the terminal of {service}, since {found.since}; Ctrl-] leaves it running{also}")
    left = kept_terminal.attach(found.path, host.owner)
    if left.code is None:
        print(f"\n{service} runs on; devswap attach {journal.called} comes back to it", file=sys.stderr)
    elif left.code:
        raise typer.Exit(left.code)


def _show(host: Host) -> None:
    found = list(kept_terminal.all_of(host.state))
    if not found:
        print("there is no terminal to come back to; devswap checkout SERVICE REF --detach makes one")
        return
    rows = [(_services(host, kept) or "-", kept.since, kept.people or "nobody") for kept in found]
    console.show_table(("SERVICE", "SINCE", "ATTACHED"), rows)


def _services(host: Host, kept: Kept) -> str:
    return ", ".join(journal.swap.service for journal in kept_runs.of(host, kept))


def _of(host: Host, journal: Journal) -> Kept:
    swap = journal.swap
    for kept in kept_terminal.all_of(host.state):
        if kept_runs.runs_on(host, journal, kept):
            return kept
    holder = claims.holder(host.journals.claim_path(swap.service, swap.machine))
    where = f"it is {swap.mode}"
    if holder is not None:
        where = f"{holder.owner.user} has it on {holder.owner.terminal or 'no terminal'}"
    raise DevswapError(
        f"{swap.service} has no terminal to come back to: {where}",
        hint=f"devswap run {journal.called} --detach gives it one; devswap logs {journal.called} -f shows its log",
    )
