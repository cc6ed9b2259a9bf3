"""What oslo.config's own validator says of production's files, with production's code and with the checkout's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from devswap import development, systemd
from devswap.errors import CommandFailed
from devswap.journal import Swap
from devswap.machine import Machine

# A list of options that cannot be made would end the validator: it is left out, and said by diff_options.py.
_VALIDATE = """
import importlib.metadata, sys
try:
    from oslo_config import validator
except ImportError:
    raise SystemExit(3)
spaces = []
for point in importlib.metadata.entry_points(group="oslo.config.opts"):
    try:
        point.load()()
    except Exception:
        continue
    spaces += ["--namespace", point.name]
for path in sys.argv[1:]:
    sys.argv = ["oslo-config-validator", "--input-file", path, *spaces]
    validator.main()
"""
_NO_VALIDATOR = 3
_FINDING = re.compile(
    r"Deprecated opt (?P<old>\S+)/(?P<name>\S+) found|(?P<group>[^\s:/]+)/(?P<option>\S+) is not part of the sample"
)


@dataclass(frozen=True)
class Validation:
    """Options of production's files, as "GROUP.OPTION: what is wrong"; never their values."""

    brought: list[str]
    """What the validator finds with the checkout only."""
    before: list[str]
    """What it finds with production's version as well."""


def of(machine: Machine, swap: Swap, before: str, after: str) -> Validation | None:
    """In the eyes of two interpreters, production's and development's; None where production has no validator."""
    files = [path for path in swap.deployment["config_files"] if machine.exists(path)]
    found = [_findings(machine, swap, python, files) for python in (before, after)]
    if found[0] is None or found[1] is None:
        return None
    return Validation([each for each in found[1] if each not in found[0]], found[0])


def _findings(machine: Machine, swap: Swap, python: str, files: Sequence[str]) -> list[str] | None:
    """The project's code lists its options as the service's user, without a network."""
    try:
        result = systemd.run_in_unit(
            machine,
            f"devswap-{swap.service}-validator.service",
            development.overriding([python, "-B", "-c", _VALIDATE, *files], {"HOME": "/tmp"}),  # noqa: S108 - its own
            user=swap.deployment["user"],
            group=swap.deployment["group"],
            cwd="/",
            properties={"PrivateTmp": "yes", "PrivateNetwork": "yes"},
        )
    except CommandFailed as error:
        if error.result.code == _NO_VALIDATOR:
            return None
        raise
    return parsed(result.stdout + result.stderr)


def parsed(text: str) -> list[str]:
    """The validator's findings, from what it logs."""
    found = []
    for match in _FINDING.finditer(text):
        group, name = (match["group"], match["option"]) if match["group"] else (match["old"], match["name"])
        found.append(f"{group}.{name}: {'not known' if match['group'] else 'deprecated'}")
    return list(dict.fromkeys(found))
