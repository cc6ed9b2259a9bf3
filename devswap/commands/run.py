"""devswap run."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import outcome, session, swap

app = typer.Typer(rich_markup_mode=None)


@app.command(epilog="Examples: devswap run heat-engine · devswap run heat-engine --detach")
def run(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A swapped one.")],
    machine: Annotated[str | None, typer.Option("--machine", metavar="ADDRESS", help="Where, if in several.")] = None,
    detach: Annotated[  # noqa: FBT002
        bool, typer.Option("--detach", help="In the background; returns when it serves.")
    ] = False,
    take_over: Annotated[bool, typer.Option("--take-over", help="Even if another user swapped it.")] = False,  # noqa: FBT002
    wait: Annotated[
        float | None, typer.Option("--wait", metavar="SECONDS", help="How long --detach may take to serve.")
    ] = None,
) -> None:
    """Start a swapped service again, after an edit of its checkout."""
    host = session.open_host(wait=wait)
    outcome.show_run(service, swap.run(host, service, machine, detach=detach, take_over=take_over))
