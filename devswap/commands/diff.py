"""devswap diff."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from devswap import arguments, console, diff, session
from devswap.commands import examples
from devswap.diff import Difference
from devswap.diff_commits import Commits
from devswap.diff_files import File
from devswap.diff_options import Options
from devswap.diff_validator import Validation
from devswap.machine import shown

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_MOST = 20


@app.command(
    epilog=examples(
        "devswap diff heat-engine",
        "devswap diff heat-engine --json",
    )
)
def show(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A swapped one.")],
    machine: arguments.Machine = None,
    as_json: arguments.AsJson = False,  # noqa: FBT002
) -> None:
    """Show what the checkout changes against production's version.

    The commits between the two; the files of the checkout's etc/ that are not what /etc has, which the service goes on
    reading; the configuration options that are new, gone or deprecated; and what oslo.config's own validator finds in
    production's files with the checkout that it does not find without.
    """
    found = diff.of(session.open_host(), service, machine)
    if as_json:
        console.show_json(asdict(found))
        return
    for line in (*_head(found), *_files(found.files), *_options(found.options), *_validation(found.validation)):
        print(line)
    for note in found.notes:
        console.say(note)


def _head(found: Difference) -> list[str]:
    lines = [f"{found.service} in {shown(found.machine)}: {found.ref} against production's {found.production}"]
    return [*lines, *(_commits(found.commits) if found.commits else [])]


def _commits(found: Commits) -> list[str]:
    lines = [f"{_counted(found.count, 'commit')} since {found.base}"]
    lines += [f"  {line}" for line in found.log[:_MOST]]
    lines += [f"  and {found.count - _MOST} more"] if found.count > _MOST else []
    lines += [f"it lacks {_counted(found.lacks, 'commit')} of production's"] if found.lacks else []
    if found.edited:
        lines += [f"{_counted(len(found.edited), 'file')} with edits in no commit: {', '.join(found.edited[:_MOST])}"]
    return lines


def _files(found: list[File]) -> list[str]:
    lines = [f"  {file.path}: {_told(file)}" for file in found if file.matters]
    return ["files that /etc has otherwise (they are not touched):", *lines] if lines else ["files in /etc: the same"]


def _told(file: File) -> str:
    state = f"differs from {file.source} (+{file.added} -{file.removed})" if file.state == "differs" else file.state
    if file.state == "missing":
        state = f"missing, the checkout has {file.source}"
    return state + (", changed since production's version" if file.changed else "")


def _options(found: Options | None) -> list[str]:
    if found is None:
        return []
    renamed = [f"{old} (now {new})" for old, new in found.renamed.items()]
    named = {"new": found.new, "gone": found.removed, "renamed": renamed, "deprecated": found.deprecated}
    lines = [f"  {word}: {', '.join(names)}" for word, names in named.items() if names]
    lines += [f"  set by production's files: {', '.join(found.set)}"] if found.set else []
    return ["configuration options:", *lines] if lines else ["configuration options: the same"]


def _validation(found: Validation | None) -> list[str]:
    if found is None or not (found.brought or found.before):
        return []
    also = f" ({len(found.before)} with production's version)" if found.before else ""
    return [f"oslo-config-validator, of production's files: {', '.join(found.brought) or 'nothing new'}{also}"]


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
