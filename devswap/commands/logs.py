"""devswap logs."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import Annotated

import typer

from devswap import arguments, logs, session
from devswap.commands import examples
from devswap.errors import UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_LINES = 100
_REQUEST_SINCE = "1d"


@app.command(
    epilog=examples(
        "devswap logs heat-engine",
        "devswap logs heat-engine -f --grep 'ERROR|WARNING'",
        "devswap logs heat-engine --since 10m",
        "devswap logs heat-engine --request req-0b5d6cc9-5ab3-4aa6-8e1c-1d2f1b1b1f0a",
    )
)
def show(
    service: Annotated[
        str | None,
        typer.Argument(metavar="[SERVICE]", help="As devswap list shows it; with --request any of its cloud."),
    ] = None,
    machine: arguments.Machine = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,  # noqa: FBT002
    lines: Annotated[
        int | None, typer.Option("--lines", "-n", min=0, help=f"How many to begin with; {_LINES}, or all with --since.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="10m, 2h, 1d ago, or a time: '2026-01-31 12:00'.")
    ] = None,
    grep: Annotated[str | None, typer.Option("--grep", metavar="REGEX", help="Only lines that it is found in.")] = None,
    request: Annotated[
        str | None,
        typer.Option(
            "--request", metavar="ID", help=f"One request, in all services; of {_REQUEST_SINCE} unless --since."
        ),
    ] = None,
) -> None:
    """Show the log of a service: production's, and while it is swapped development's too, in one stream.

    A line marks where one ends and the other begins. Each request's id has its own colour, and --request follows one
    through all services of the cloud.
    """
    if service is None and request is None:
        raise UsageError("whose log?", hint="devswap logs SERVICE, or devswap logs --request ID")
    if request is not None and len(request.removeprefix("req-")) < 8:
        raise UsageError(f"{request!r} is too short for the id of a request", hint="--request req-0b5d6cc9-…")
    after = since if since is not None or not request else _REQUEST_SINCE
    wanted = logs.Wanted(
        lines=lines if lines is not None or after is not None or (grep and not follow) else _LINES,
        follow=follow,
        since=logs.moment(after, datetime.now().astimezone()) if after is not None else None,
        grep=logs.pattern(grep) if grep is not None else None,
        request=request or "",
        colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"),
    )
    host = session.open_host()
    if request is None and service is not None:
        raise typer.Exit(logs.show(host, service, machine, wanted))
    raise typer.Exit(logs.show_request(host, service, machine, wanted))
