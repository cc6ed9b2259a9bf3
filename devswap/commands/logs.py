"""devswap logs."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import logs, session
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap logs heat-engine",
        "devswap logs heat-engine -f",
    )
)
def show(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="As devswap list shows it.")],
    machine: Annotated[str | None, typer.Option("--machine", metavar="ADDRESS", help="Where, if in several.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,  # noqa: FBT002
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many to begin with.")] = 100,
) -> None:
    """Show the log of a service: development's while it is swapped, production's otherwise."""
    host = session.open_host()
    raise typer.Exit(logs.show(host, service, machine, follow=follow, lines=lines))
