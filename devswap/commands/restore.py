"""devswap restore."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from devswap import console, locate, session, swap
from devswap.commands import examples
from devswap.errors import NotWhole, UsageError
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Step
from devswap.swap import Restored

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap restore heat-engine",
        "devswap restore",
    )
)
def restore(
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Which; all by default.")] = None,
    machine: Annotated[str | None, typer.Option("--machine", metavar="ADDRESS", help="Where, if in several.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for scripts.")] = False,  # noqa: FBT002
    keep_database: Annotated[  # noqa: FBT002
        bool, typer.Option("--keep-database", help="Leave a migrated database as it is; its dump is kept.")
    ] = False,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="STEP", help="Leave what a step changed as it is, for good.")
    ] = None,
    take_over: Annotated[  # noqa: FBT002
        bool, typer.Option("--take-over", help="End another user's run, if one is under way.")
    ] = False,
) -> None:
    """Bring production back, and prove it.

    Undoes every step of a swap, and compares the facts about production with those taken before. Needs neither the
    checkout nor the network. Exit 3 if production is not whole: run it again.
    """
    host = session.open_host()
    kept = {*(skip or ()), *([SyncDatabase.kind] if keep_database else ())}
    if unknown := kept - set(Step.known):
        raise UsageError(f"unknown step {unknown.pop()!r}", hint=f"known: {', '.join(sorted(Step.known))}")
    journals = [locate.swap(host, name, machine) for name in services] if services else host.journals.all()
    if not journals and not as_json:
        print("nothing is swapped; production runs everywhere")
    results, failures = [], []
    for journal in reversed(journals):
        try:
            results.append(swap.restore(host, journal, take_over=take_over, kept=kept))
        except NotWhole as error:
            failures.append(error)
    if as_json:
        console.show_json({"restored": [asdict(result) for result in results]})
    for result in [] if as_json else results:
        _show(result)
    for failure in failures[:-1]:
        console.show_error(failure)
    if failures:
        raise failures[-1]


def _show(result: Restored) -> None:
    print(f"{result.service}: production is back in {result.machine}: {result.identical} facts identical")
    for name in result.held:
        print(f"  the {name} stays changed: other swaps hold it")
    for line in result.changed_by_others:
        print(f"  changed, and not by devswap: {line}")
