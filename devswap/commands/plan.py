"""devswap plan."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import libraries, options, outcome, session, swap
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
    machine: Annotated[str | None, typer.Option("--machine", metavar="ADDRESS", help="Where, if in several.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Answer questions with the first choice.")] = False,  # noqa: FBT002
    remote: Annotated[str | None, typer.Option("--remote", metavar="URL", help="Where REF is.")] = None,
    index_policy: Annotated[
        str | None,
        typer.Option("--index-policy", metavar="POLICY", help="private, fallback or public: where packages come from."),
    ] = None,
    constraints: Annotated[
        str | None,
        typer.Option("--constraints", metavar="URL|FILE|cloud", help="Upper constraints of the branch."),
    ] = None,
    no_constraints: Annotated[bool, typer.Option("--no-constraints", help="Any version that fits.")] = False,  # noqa: FBT002
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="LIB=REF", help="Run this library from a checkout too; may be repeated."),
    ] = None,
    with_depends: Annotated[  # noqa: FBT002
        bool, typer.Option("--with-depends", help="And the libraries that its Depends-On footers name.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for scripts.")] = False,  # noqa: FBT002
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
        detach=True,
        libraries=chosen,
        with_depends=with_depends,
    )
    outcome.show_plan(swap.plan(host, wish), as_json=as_json)
