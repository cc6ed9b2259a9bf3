"""devswap exec."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import arguments, beside, session, unit_tests
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_NOT_FOUND = 127  # env(1)


@app.command(
    epilog=examples(
        "devswap exec heat-engine -- heat-manage db_version",
        "devswap exec heat-engine -- pytest heat/tests/engine -k create_stack",
    ),
    context_settings={"ignore_unknown_options": True},
)
def run(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A swapped one.")],
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command with its arguments.")],
    machine: arguments.Machine = None,
) -> None:
    """Run a command beside a swapped service, and end with its exit code.

    In its machine, as its user, in the checkout, with the overlay's Python and the settings of development.
    """
    host = session.open_host()
    code = beside.run(host, service, machine, command)
    if code == _NOT_FOUND and command[0] in unit_tests.RUNNERS:
        host.say(f"production has no {command[0]}: devswap test {service} --runner {command[0]} -- … brings it along")
    raise typer.Exit(code)
