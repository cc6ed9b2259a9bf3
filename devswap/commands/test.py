"""devswap test."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import arguments, session, unit_tests
from devswap.commands import examples
from devswap.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap test heat-engine",
        "devswap test heat-engine heat.tests.engine.test_service --serial",
        "devswap test heat-engine --runner pytest -- -x -k create_stack heat/tests/engine",
        "devswap test heat-engine --ref review/123",
    ),
    context_settings={"ignore_unknown_options": True},
)
def run(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A swapped one; with --ref any.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS...]", help="What stestr run or pytest is told.")
    ] = None,
    machine: arguments.Machine = None,
    ref: Annotated[
        str | None, typer.Option("--ref", metavar="REF", help="Test this, and not the checkout that is swapped in.")
    ] = None,
    runner: Annotated[
        str | None, typer.Option("--runner", metavar="NAME", help="stestr or pytest; default: what the project has.")
    ] = None,
) -> None:
    """Run the project's own unit tests in the machine.

    Ends with their exit code. They run as the service's user, over production's packages, with what
    test-requirements.txt names in an overlay of their own: neither production nor what is swapped in notices. They have
    no network, and can write into a folder of theirs only.
    """
    if runner not in (None, *unit_tests.RUNNERS):
        raise UsageError(f"there is no runner {runner!r}", hint=f"one of {', '.join(unit_tests.RUNNERS)}")
    host = session.open_host()
    raise typer.Exit(unit_tests.run(host, service, machine, arguments or [], ref=ref, runner=runner))
