"""devswap doctor."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from devswap import arguments, console, doctor, session
from devswap.commands import examples
from devswap.errors import UsageError
from devswap.recovery import Recovery

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap doctor",
        "devswap doctor --json",
        "devswap doctor --install-recovery",
    )
)
def check(
    as_json: arguments.AsJson = False,  # noqa: FBT002
    install_recovery: Annotated[  # noqa: FBT002
        bool, typer.Option("--install-recovery", help="Install a unit that restores after a restart of this host.")
    ] = False,
    remove_recovery: Annotated[  # noqa: FBT002
        bool, typer.Option("--remove-recovery", help="Remove that unit.")
    ] = False,
) -> None:
    """Check whether this host is ready; each finding comes with the command that mends it. Exit 1 if one fails."""
    recovery = Recovery()
    if install_recovery and remove_recovery:
        raise UsageError("--install-recovery and --remove-recovery exclude each other")
    if install_recovery:
        recovery.install(session.open_host().state)
        print(f"installed {recovery.path}: after a restart of this host it runs devswap restore --after-restart")
        return
    if remove_recovery:
        session.open_host()
        recovery.remove()
        print(f"{recovery.path} is not there any more")
        return
    findings = list(doctor.examine(recovery))
    if as_json:
        console.show_json({"findings": [asdict(finding) for finding in findings]})
    for finding in [] if as_json else findings:
        print(f"{'ok  ' if finding.fine else 'FAIL'}  {finding.what}")
        if finding.mend:
            print(f"      try: {finding.mend}")
    if not all(finding.fine for finding in findings):
        raise typer.Exit(1)
