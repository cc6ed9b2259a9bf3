"""devswap attach."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from devswap import arguments, claims, console, kept_terminal, locate, session
from devswap.commands import examples
from devswap.errors import DevswapError
from devswap.host import Host
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
    found = _of(host, service, machine, take_over=take_over)
    also = f"; also attached: {found.people}" if found.attached else ""
    host.say(f"this is the terminal of {service}, since {found.since}; Ctrl-] leaves it running{also}")
    left = kept_terminal.attach(found.path, host.owner)
    if left.code is None:
        print(f"\n{service} runs on; devswap attach {service} comes back to it", file=sys.stderr)
    elif left.code:
        raise typer.Exit(left.code)


def _services(host: Host, kept: Kept) -> list[str]:
    """Whose run is on it: those that its devswap has a claim on."""
    swaps = [journal.swap for journal in host.journals.all()]
    holders = {swap.service: claims.holder(host.journals.claim_path(swap.service, swap.machine)) for swap in swaps}
    return [name for name, holder in holders.items() if holder is not None and holder.owner.pid == kept.pid]


def _show(host: Host) -> None:
    found = list(kept_terminal.all_of(host.state))
    if not found:
        print("there is no terminal to come back to; devswap checkout SERVICE REF --detach makes one")
        return
    rows = [(", ".join(_services(host, kept)) or "-", kept.since, kept.people or "nobody") for kept in found]
    console.show_table(("SERVICE", "SINCE", "ATTACHED"), rows)


def _of(host: Host, service: str, machine: str | None, *, take_over: bool) -> Kept:
    journal = locate.swap(host, service, machine)
    locate.require_owner(host, journal, take_over=take_over)
    swap = journal.swap
    holder = claims.holder(host.journals.claim_path(service, swap.machine))
    for kept in kept_terminal.all_of(host.state):
        if holder is not None and kept.pid == holder.owner.pid:
            return kept
    where = f"it is {swap.mode}"
    if holder is not None:
        where = f"{holder.owner.user} has it on {holder.owner.terminal or 'no terminal'}"
    raise DevswapError(
        f"{service} has no terminal to come back to: {where}",
        hint=f"devswap run {service} --detach gives it one; devswap logs {service} -f shows its log",
    )
