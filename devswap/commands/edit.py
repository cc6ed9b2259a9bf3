"""devswap edit."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from devswap import arguments, editing, editor, session
from devswap.commands import examples
from devswap.errors import UsageError
from devswap.host import Host

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap edit heat-api api-paste.ini",
        "devswap edit heat-engine /etc/heat/policy.yaml",
        "devswap edit heat-engine policy.yaml --from ~/policy.yaml",
        "devswap edit heat-engine --diff",
        "devswap edit heat-engine --drop",
    )
)
def edit(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A swapped one.")],
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="Of its folder in /etc: api-paste.ini, policy.yaml …")
    ] = None,
    machine: arguments.Machine = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="Take this file, or - for standard input; no editor.")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs from production's.")] = False,  # noqa: FBT002
    drop: Annotated[bool, typer.Option("--drop", help="Forget the copy; of all files, if none is named.")] = False,  # noqa: FBT002
    again: Annotated[bool, typer.Option("--again", help="Use the copies of an earlier swap.")] = False,  # noqa: FBT002
) -> None:
    """Edit a file of /etc for development alone.

    The development service sees its own copy, from its next start on; production's file is not touched, and nobody else
    sees the copy. $EDITOR runs as you, not as root. The copy is kept for the swap, and offered at the next one.
    """
    _require_one(file, source, diff=diff, drop=drop, again=again)
    host = session.open_host()
    if diff:
        for line in editing.differences(host, service, machine, file):
            print(line)
    elif drop:
        print(editing.drop(host, service, machine, file))
    elif again:
        print(editing.again(host, service, machine))
    elif file is not None:
        change = partial(_given, host, source) if source else partial(editor.edit, host.home())
        print(editing.edit(host, service, machine, file, change))


def _require_one(file: str | None, source: str | None, *, diff: bool, drop: bool, again: bool) -> None:
    named = [name for name, said in (("--diff", diff), ("--drop", drop), ("--again", again)) if said]
    if len(named) > 1 or (named and source):
        both = " and ".join([*named, *(["--from"] if source else [])])
        raise UsageError(f"{both} exclude each other", hint="one of them at a time")
    if again and file:
        raise UsageError("--again takes all files of the earlier swap", hint="leave FILE out")
    if not named and file is None:
        raise UsageError("which file?", hint="devswap edit SERVICE api-paste.ini")


def _given(host: Host, source: str, name: str, text: str) -> str:  # noqa: ARG001 - as an editor is called
    return editor.of_text("standard input", sys.stdin.read()) if source == "-" else editor.read_as(host.home(), source)
