"""devswap doctor."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from devswap import console, doctor
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap doctor",
        "devswap doctor --json",
    )
)
def check(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for scripts.")] = False,  # noqa: FBT002
) -> None:
    """Check whether this host is ready; each finding comes with the command that mends it. Exit 1 if one fails."""
    findings = list(doctor.examine())
    if as_json:
        console.show_json({"findings": [asdict(finding) for finding in findings]})
    for finding in [] if as_json else findings:
        print(f"{'ok  ' if finding.fine else 'FAIL'}  {finding.what}")
        if finding.mend:
            print(f"      try: {finding.mend}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)
