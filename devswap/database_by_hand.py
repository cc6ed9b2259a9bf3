"""Writes how a person loads a database's dump without devswap, in plain shell: for restore.sh.

As the server's own root: no password is needed where the server is, and none is written here.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from devswap.migrations import MIGRATE
from devswap.steps.step import shell

# What follows runs in the machine that has the tools, under whichever name. The schema is $1: no sign in it does harm.
_TOOLS = (
    "run=$(command -v mariadb || command -v mysql); save=$(command -v mariadb-dump || command -v mysqldump); "
    'ask() { "$run" -N "$@"; }; '
)
_REVISIONS = (
    '{ ask "$1" -e "SELECT version_num FROM alembic_version" 2>/dev/null || '  # noqa: S608 - a word of ours
    f'ask "$1" -e "SELECT CONCAT(\'{MIGRATE} \', version) FROM migrate_version"; }} | LC_ALL=C sort | paste -sd, -'
)
_SAVE = '"$save" --single-transaction --hex-blob "$1"'
_STATEMENTS = (
    "SELECT CONCAT('DROP ', IF(table_type = 'VIEW', 'VIEW', 'TABLE'), ' IF EXISTS \\`', table_name, '\\`;') "
    "FROM information_schema.tables WHERE table_schema = DATABASE()"
)
_DROP = f'{{ echo \'SET FOREIGN_KEY_CHECKS=0;\'; ask "$1" -e "{_STATEMENTS}"; }} | ask "$1"'
_LOAD = 'ask "$1"'


def load_lines(
    *, client: str, schema: str, revisions: Sequence[str], dump: Path, users: Sequence[tuple[str, str]]
) -> list[str]:
    """Load `dump` where the database is not at `revisions`, or an earlier run of these lines did not come to its end.

    `users` are stopped meanwhile; the first is the swapped service's own, which is started elsewhere.
    """

    def tool(script: str) -> str:
        return shell(client, "sh", "-c", _TOOLS + script, "sh", schema)

    packed, again = shlex.quote(str(dump)), shlex.quote(str(dump.with_name("start-again.sh")))
    load = f"{tool(_DROP)} && gunzip -c {packed} | {tool(_LOAD)}"
    before = shlex.quote(",".join(sorted(revisions)))
    return [
        f'if [ ! -e {again} ] && [ "$({tool(_REVISIONS)})" = {before} ]; then',
        "  # It is at the revision it was at: nothing is loaded. If a migration was interrupted half way, type this:",
        f"  #   {load}",
        "  true",
        f"elif gunzip -t {packed} && save=$(mktemp --suffix=.sql /var/tmp/devswap-database-XXXXXX) &&",
        f'    {tool(_SAVE)} > "$save"; then',
        '  echo "the database as it is now: $save"',
        f"  : >> {again}",
        *(line for number, user in enumerate(users) for line in _stop(user, again if number else None)),
        f"  {load} && sh {again} && rm {again}",
        "fi",
    ]


def _stop(user: tuple[str, str], again: str | None) -> list[str]:
    """Who runs is noted in the file `again` before it is stopped."""
    on, unit = user
    note = [f"echo {shlex.quote(shell(on, 'systemctl', 'start', unit))} >> {again}"] if again else []
    stop = [*note, shell(on, "systemctl", "stop", unit)]
    return [f"  if {shell(on, 'systemctl', 'is-active', '--quiet', unit)}; then {'; '.join(stop)}; fi"]
