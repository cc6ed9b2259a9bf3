"""devswap exec."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import beside, session
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap exec heat-engine -- heat-manage db_version",
        "devswap exec heat-engine -- python -m pytest heat/tests/engine",
    ),
    context_settings={"ignore_unknown_options": True},
)
def run(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A swapped one.")],
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command with its arguments.")],
    machine: Annotated[str | None, typer.Option("--machine", metavar="ADDRESS", help="Where, if in several.")] = None,
) -> None:
    """Run a command beside a swapped service, and end with its exit code.

    In its machine, as its user, in the checkout, with the overlay's Python and the settings of development.
    """
    host = session.open_host()
    raise typer.Exit(beside.run(host, service, machine, command))
