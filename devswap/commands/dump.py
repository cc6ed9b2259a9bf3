"""devswap dump."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import arguments, dump, session
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap dump heat-engine",
        "devswap dump heat-engine > stuck.txt",
    )
)
def show(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="As devswap list shows it.")],
    machine: arguments.Machine = None,
) -> None:
    """Show what a running service is doing.

    Its Guru Meditation Report, where it makes one, and the stacks of all threads of each of its processes: of
    development by itself, of production by py-spy, where this host has it.
    """
    for section in dump.of(session.open_host(), service, machine):
        print(f"== {section.title}\n{section.text}\n")
