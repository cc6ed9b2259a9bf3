"""devswap run."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import options, outcome, session, swap
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap run heat-engine",
        "devswap run heat-engine --detach",
    )
)
def run(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A swapped one.")],
    machine: Annotated[str | None, typer.Option("--machine", metavar="ADDRESS", help="Where, if in several.")] = None,
    detach: Annotated[  # noqa: FBT002
        bool, typer.Option("--detach", help="In the background; returns when it serves.")
    ] = False,
    restore_on_exit: Annotated[  # noqa: FBT002
        bool, typer.Option("--restore-on-exit", help="Give production back when the foreground run ends, however.")
    ] = False,
    take_over: Annotated[bool, typer.Option("--take-over", help="Even if another user swapped it.")] = False,  # noqa: FBT002
    wait: Annotated[
        float | None, typer.Option("--wait", metavar="SECONDS", help="How long --detach may take to serve.")
    ] = None,
) -> None:
    """Start a swapped service again, after an edit of its checkout."""
    options.check(detach=detach, wait=wait, restore_on_exit=restore_on_exit)
    host = session.open_host(wait=wait)
    ended = swap.run(host, service, machine, detach=detach, restore_on_exit=restore_on_exit, take_over=take_over)
    outcome.show_run(service, ended, given_back=restore_on_exit)
