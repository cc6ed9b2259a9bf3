"""devswap plan."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import arguments, libraries, options, outcome, session, swap
from devswap.commands import examples
from devswap.wish import Wish

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap plan heat-engine review/123",
        "devswap plan heat-engine master --json",
    )
)
def plan(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="As devswap list shows it.")],
    ref: Annotated[str, typer.Argument(metavar="REF", help="As for devswap checkout.")],
    machine: arguments.Machine = None,
    yes: arguments.Yes = False,  # noqa: FBT002
    remote: arguments.Remote = None,
    index_policy: arguments.IndexPolicy = None,
    constraints: arguments.Constraints = None,
    no_constraints: arguments.NoConstraints = False,  # noqa: FBT002
    with_: arguments.With = None,
    with_depends: arguments.WithDepends = False,  # noqa: FBT002
    as_json: arguments.AsJson = False,  # noqa: FBT002
) -> None:
    """Show what checkout would do, without doing it: each step with its way back."""
    chosen = tuple(map(libraries.parse, with_ or []))
    host = session.open_host(
        yes=yes,
        index_policy=index_policy,
        constraints=options.constraints(constraints, none=no_constraints),
    )
    wish = Wish(
        service=service,
        ref=ref,
        machine=machine,
        remote=remote,
        detach=False,
        take_over=None,
        libraries=chosen,
        with_depends=with_depends,
    )
    outcome.show_plan(swap.plan(host, wish), as_json=as_json)
