"""Writes how a person puts SQLite databases back without devswap, in plain shell: for restore.sh."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from devswap.sqlite_files import SqliteFiles
from devswap.steps.step import shell

SCRIPT, ASKED = "sqlite.py", "sqlite.json"
"""In the vault: what runs in the machine, and the first line of what it reads."""


def lines(files: SqliteFiles, archive: Path, *, users: Sequence[tuple[str, str]]) -> list[str]:
    """Put them back where they differ: `users` are stopped before, and what is there now is saved."""
    asked, packed = (shlex.quote(str(path)) for path in (archive.with_name(ASKED), archive))
    script, again = (shlex.quote(str(archive.with_name(name))) for name in (SCRIPT, "start-again.sh"))
    as_user = ("setpriv", f"--reuid={files.user}", f"--regid={files.group}", "--init-groups", "--")
    run = f'{shell(files.on, *as_user, files.python, "-I", "-S", "-c")} "$(cat {script})"'
    differs = f"{run} differing < {asked} > /dev/null"
    stop = [line for user in users for line in _stop(user, again)]
    return [
        f"if {differs}; then",
        f"  echo {shlex.quote(files.name)} are as they were: nothing is put back",
        "else",
        *stop,
        "  save=$(mktemp --suffix=.tar.gz /var/tmp/devswap-sqlite-XXXXXX) &&",
        f'    {run} save < {asked} > "$save" && echo "those that differ, as they are now: $save" &&',
        f"    cat {asked} {packed} | {run} put-back",
        "fi",
    ]


def last_lines(archive: Path) -> list[str]:
    """Who was stopped for it runs again."""
    again = shlex.quote(str(archive.with_name("start-again.sh")))
    return [f"if [ -e {again} ]; then sh {again} && rm {again}; fi"]


def _stop(user: tuple[str, str], again: str) -> list[str]:
    """Who runs is noted in the file `again` before it is stopped. (The swapped service itself does not run then.)"""
    on, unit = user
    note = f"echo {shlex.quote(shell(on, 'systemctl', 'start', unit))} >> {again}"
    active, stop = shell(on, "systemctl", "is-active", "--quiet", unit), shell(on, "systemctl", "stop", unit)
    return [f"  if {active}; then {note}; {stop}; fi"]
