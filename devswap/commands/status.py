"""devswap status."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from devswap import console, newest, overlay_table, session, status
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap status",
        "devswap status --check && echo all well",
    )
)
def show(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for scripts.")] = False,  # noqa: FBT002
    check: Annotated[bool, typer.Option("--check", help="Exit 1 unless every swap is healthy.")] = False,  # noqa: FBT002
) -> None:
    """Show what is swapped, and whether it serves.

    The machines are asked; nothing is just repeated from the journal.
    """
    host = session.open_host_to_restore()
    swaps = [status.of(host, journal) for journal in host.journals.all()]
    unreadable = host.journals.unreadable()
    if as_json:
        console.show_json({"swaps": [asdict(swap) for swap in swaps]})
    elif not swaps and not unreadable:
        print("nothing is swapped; production runs everywhere")
    for swap in [] if as_json else swaps:
        _show(swap)
    for error in unreadable:
        raise error
    if check and not all(swap.healthy for swap in swaps):
        raise typer.Exit(1)


def _show(swap: status.SwapStatus) -> None:
    serving = "serving" if swap.serving else "not serving"
    print(f"{swap.service} in {swap.machine}: {swap.state}, {serving} ({swap.why})")
    print("  " + "  ".join(filter(None, (swap.ref, swap.commit[:12], swap.subject))))
    print(f"  {swap.mode} by {swap.owner} since {swap.since}")
    _show_review(swap.review, indent=2)
    if swap.checkout:
        print(f"  checkout: {swap.checkout}")
    for each in swap.libraries:
        print(f"  with {each['name']} {each['version']}: {each['ref']}  {each['commit'][:12]}  {each['subject']}")
        _show_review(each["review"], indent=4)
        print(f"    checkout: {each['checkout']}")
    if swap.packages:
        print(f"  packages: {overlay_table.summary(swap.packages)}")
    for each in swap.edited:
        print(f"  own copy: {each['path']}{'' if each['seen'] else ', from its next start on'}")
    for line in swap.tuning.lines():
        print(f"  {line}")


def _show_review(review: dict[str, Any] | None, *, indent: int) -> None:
    if review:
        print(f"{' ' * indent}{newest.told(review)}")
