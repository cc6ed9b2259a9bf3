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

    In its machine, as its user, in the checkout, with the overlay's Python and the settings of development. Where that
    has no pytest or stestr, these run as devswap test runs them: in an overlay of their own.
    """
    host = session.open_host()
    code = beside.run(host, service, machine, command)
    runner, *arguments = command
    if code == _NOT_FOUND and runner in unit_tests.RUNNERS:
        host.say(f"{service} has no {runner}: the tests get one in an overlay of their own, as with devswap test")
        code = unit_tests.run(host, service, machine, arguments, ref=None, runner=runner, typed=True)
    raise typer.Exit(code)
