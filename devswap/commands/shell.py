"""devswap shell."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import arguments, beside, session
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap shell heat-engine",
    )
)
def shell(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A swapped one.")],
    machine: arguments.Machine = None,
) -> None:
    """Open a shell beside a swapped service.

    In its machine, as its user, in the checkout, with the overlay's Python and the settings of development.
    """
    host = session.open_host()
    code = beside.run(host, service, machine, ["bash", "-i"])
    raise typer.Exit(code)
