"""Options of oslo.config that are given several times: no variable can hold them, so they come in a file of their own.

systemd itself hands it to the unit (SetCredential=, systemd.exec(5)): it is there for the service's user alone, for as
long as the unit runs, and nothing of it has to be put away.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from devswap.errors import UsageError
from devswap.journal import Swap
from devswap.machine import Machine

_NAME = "devswap-settings"
_OPTION, _DIRECTORY = "--config-file", "--config-dir"
_FIRST_SYSTEMD = 247
# C's escapes, as systemd reads them; a line of a configuration file ends nowhere but at its end
_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})


def require_possible(machine: Machine, swap: Swap, names: Sequence[str]) -> None:
    """Raises UsageError where the service is not started by a command that can be told of a file, or systemd is old."""
    name = names[0]
    if swap.deployment.get("uwsgi") or swap.deployment.get("hosted"):
        raise UsageError(
            f"{name} cannot be a list here: a web server starts {swap.service}, and reads no file of ours",
            hint=f"devswap edit {swap.service} {_first(swap)}, for development alone",
        )
    if _DIRECTORY in _names(swap) and _OPTION not in _names(swap):
        raise UsageError(
            f"{name} cannot be a list here: {swap.service} is told of a folder of files, and finds others",
            hint=f"devswap edit {swap.service} {_first(swap)}, for development alone",
        )
    told = re.match(r"systemd (\d+)", machine.run(["systemctl", "--version"]).stdout)
    if told is None or int(told[1]) < _FIRST_SYSTEMD:
        raise UsageError(
            f"{name} cannot be a list here: that needs systemd {_FIRST_SYSTEMD} in {machine.name}",
            hint=f"devswap edit {swap.service} {_first(swap)}, for development alone",
        )


def words(swap: Swap, lists: Mapping[str, Sequence[str]]) -> list[str]:
    """What follows development's command: production's files, where it finds them itself, and then our own."""
    if not lists:
        return []
    # Those in a *.d beside its files it finds itself all the same.
    found = [path for path in swap.deployment["config_files"] if not posixpath.dirname(path).endswith(".d")]
    files = [] if _OPTION in _names(swap) else found
    own = f"/run/credentials/{swap.unit}/{_NAME}"
    return [word for path in [*files, own] for word in (_OPTION, path)]


def _names(swap: Swap) -> set[str]:
    return {word.split("=")[0] for word in swap.deployment["command"]}


def unit_settings(lists: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The settings of a unit that has the file."""
    return {"SetCredential": f"{_NAME}:{_text(lists).translate(_ESCAPED)}"} if lists else {}


def _text(lists: Mapping[str, Sequence[str]]) -> str:
    groups: dict[str, list[str]] = {}
    for name, values in lists.items():
        group, _, option = name.rpartition(".")
        groups.setdefault(group, []).extend(f"{option} = {value}" for value in values)
    return "".join("\n".join([f"[{group}]", *lines, ""]) for group, lines in groups.items())


def _first(swap: Swap) -> str:
    return next(iter(swap.deployment.get("config_files") or ()), "FILE")
