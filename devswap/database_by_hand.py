"""Writes how a person loads a database's dump without devswap, in plain shell: for restore.sh.

As the server's own root: no password is needed where the server is, and none is written here.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
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
# As Database.schema() has it: what a counter stands at is no definition.
_SCHEMA = (
    '"$save" --no-data --compact --skip-comments --no-tablespaces --default-character-set=utf8mb4 '
    '--loose-set-gtid-purged=OFF --loose-column-statistics=0 "$1" '
    "| sed 's/ AUTO_INCREMENT=[0-9]*//g' | sha256sum | cut -d ' ' -f 1"
)
_SAVE = '"$save" --single-transaction --hex-blob "$1"'
_STATEMENTS = (
    "SELECT CONCAT('DROP ', IF(table_type = 'VIEW', 'VIEW', 'TABLE'), ' IF EXISTS \\`', table_name, '\\`;') "
    "FROM information_schema.tables WHERE table_schema = DATABASE()"
)
_DROP = f'{{ echo \'SET FOREIGN_KEY_CHECKS=0;\'; ask "$1" -e "{_STATEMENTS}"; }} | ask "$1"'
_LOAD = 'ask "$1"'


@dataclass(frozen=True)
class Load:
    """One schema: the machine with its tools, the revisions that it was at, and its dump as it was then.

    `definition` is the hash of its tables' definitions as Database.schema() makes it. `begun` is the file that is there
    while it is half loaded, whoever loads it.
    """

    client: str
    schema: str
    revisions: Sequence[str]
    definition: str
    dump: Path
    begun: Path

    @property
    def _begun(self) -> str:
        return shlex.quote(str(self.begun))

    def _tool(self, script: str) -> str:
        return shell(self.client, "sh", "-c", _TOOLS + script, "sh", self.schema)

    def lines(self, stop: Sequence[str]) -> list[str]:
        """Load it where it is not as it was, or an earlier run did not come to its end; `stop` comes before."""
        packed, before = shlex.quote(str(self.dump)), shlex.quote(",".join(sorted(self.revisions)))
        load = f"{self._tool(_DROP)} && gunzip -c {packed} | {self._tool(_LOAD)}"
        return [
            f'if [ ! -e {self._begun} ] && [ "$({self._tool(_REVISIONS)})" = {before} ] &&',
            f'    [ "$({self._tool(_SCHEMA)})" = {shlex.quote(self.definition)} ]; then',
            f"  echo {shlex.quote(self.schema)} is as it was: nothing is loaded",
            f"elif gunzip -t {packed} && save=$(mktemp --suffix=.sql /var/tmp/devswap-database-XXXXXX) &&",
            f'    {self._tool(_SAVE)} > "$save"; then',
            '  echo "the database as it is now: $save"',
            f"  : >> {self._begun}",
            *stop,
            f"  {load} && rm {self._begun}",
            "fi",
        ]


def load_lines(loads: Sequence[Load], *, users: Sequence[tuple[str, str]]) -> list[str]:
    """`users` are stopped before the first is loaded, and run again after the last.

    The first of them is the swapped service's own, which is started elsewhere.
    """
    again = shlex.quote(str(loads[0].dump.with_name("start-again.sh")))
    stop = [line for number, user in enumerate(users) for line in _stop(user, again if number else None)]
    whole = " && ".join(f"[ ! -e {shlex.quote(str(each.begun))} ]" for each in loads)
    return [
        *(line for each in loads for line in each.lines(stop)),
        f"if [ -e {again} ] && {whole}; then sh {again} && rm {again}; fi",
    ]


def _stop(user: tuple[str, str], again: str | None) -> list[str]:
    """Who runs is noted in the file `again` before it is stopped."""
    on, unit = user
    note = [f"echo {shlex.quote(shell(on, 'systemctl', 'start', unit))} >> {again}"] if again else []
    stop = [*note, shell(on, "systemctl", "stop", unit)]
    return [f"  if {shell(on, 'systemctl', 'is-active', '--quiet', unit)}; then {'; '.join(stop)}; fi"]
