"""The options that several commands have, as typer reads them."""

from __future__ import annotations

from typing import Annotated

import typer

Machine = Annotated[str | None, typer.Option("--machine", metavar="ADDRESS", help="Where, if in several.")]
Yes = Annotated[bool, typer.Option("--yes", help="Answer questions with the first choice.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object for scripts.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show the steps, as devswap plan does.")]
TakeOver = Annotated[bool, typer.Option("--take-over", help="Even if another user swapped it.")]
Remote = Annotated[str | None, typer.Option("--remote", metavar="URL", help="Where REF is.")]
With = Annotated[
    list[str] | None,
    typer.Option("--with", metavar="LIB=REF", help="Run this library from a checkout too; may be repeated."),
]
WithDepends = Annotated[
    bool, typer.Option("--with-depends", help="And the libraries that its Depends-On footers name.")
]
IndexPolicy = Annotated[
    str | None,
    typer.Option("--index-policy", metavar="POLICY", help="private, fallback or public: where packages come from."),
]
Constraints = Annotated[
    str | None, typer.Option("--constraints", metavar="URL|FILE|cloud", help="Upper constraints of the branch.")
]
NoConstraints = Annotated[bool, typer.Option("--no-constraints", help="Any version that fits.")]
Detach = Annotated[bool, typer.Option("--detach", help="In the background; returns when it serves.")]
Foreground = Annotated[
    bool, typer.Option("--foreground", help="On this terminal, also what was taken over with --apache.")
]
Wait = Annotated[float | None, typer.Option("--wait", metavar="SECONDS", help="How long --detach may take to serve.")]
RestoreOnExit = Annotated[
    bool, typer.Option("--restore-on-exit", help="Give production back when the foreground run ends, however.")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="GROUP.OPTION=VALUE", help="A setting for this swap; repeatable."),
]
Unset = Annotated[
    list[str] | None, typer.Option("--unset", metavar="GROUP.OPTION", help="As production has it; repeatable.")
]
Debug = Annotated[bool, typer.Option("--debug", help="As --set DEFAULT.debug=true.")]
Workers = Annotated[int | None, typer.Option("--workers", metavar="N", help="Worker processes; 1 at first.")]
Break = Annotated[
    list[str] | None,
    typer.Option(
        "--break",
        metavar="PLACE",
        help="Stop there: FILE:LINE or MODULE:QUALNAME, also with 'if CONDITION'; repeatable.",
    ),
]
NoBreak = Annotated[bool, typer.Option("--no-break", help="Forget the breakpoints there were.")]
Debugger = Annotated[str | None, typer.Option("--debugger", metavar="NAME", help="pdb, pudb or debugpy.")]
Listen = Annotated[
    str | None,
    typer.Option(
        "--listen", metavar="ADDRESS:PORT", help="Where debugpy does; the machine's own address, from port 5678 on."
    ),
]
WaitForClient = Annotated[
    bool | None, typer.Option("--wait-for-client/--no-wait-for-client", help="debugpy: before the service starts.")
]
WriteLaunch = Annotated[
    str | None, typer.Option("--write-launch", metavar="FOLDER", help="debugpy: launch.json there, as in .vscode.")
]
Terminal = Annotated[
    bool | None,
    typer.Option(
        "--terminal/--no-terminal",
        help="With --detach: on one that devswap attach comes back to; default: one service's, if you are at one.",
    ),
]
Reload = Annotated[bool, typer.Option("--reload", help="Start it again when a file of the checkout is saved.")]
PostMortem = Annotated[
    bool | None, typer.Option("--post-mortem/--no-post-mortem", help="Stop at exceptions that nobody handles.")
]
