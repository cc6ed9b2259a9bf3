"""Which modules a service could import, asked of its own Python: found, not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from devswap import development, systemd
from devswap.errors import CommandFailed
from devswap.machine import Machine

_BEGIN = "missing:"
_FIND = f"""
import sys
from importlib.machinery import PathFinder, SourceFileLoader
for name in sys.argv[1:]:
    path, whole = None, []
    for part in name.split("."):
        whole.append(part)
        spec = PathFinder.find_spec(".".join(whole), path)
        if spec is None:
            break
        path = spec.submodule_search_locations or []
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        print("{_BEGIN}" + name)
"""


def missing(
    machine: Machine, service: str, python: str, deployment: Mapping[str, Any], names: Sequence[str]
) -> list[str]:
    """Those of `names` that `python` has no source of; none where that cannot be told."""
    try:
        result = systemd.run_in_unit(
            machine,
            f"devswap-{service}-modules.service",
            development.overriding([python, "-B", "-c", _FIND, *names], {}),
            user=deployment["user"],
            group=deployment["group"],
            cwd="/",
            properties={"PrivateTmp": "yes", "PrivateNetwork": "yes"},
        )
    except CommandFailed:
        return []
    return [line.removeprefix(_BEGIN) for line in result.stdout.splitlines() if line.startswith(_BEGIN)]
