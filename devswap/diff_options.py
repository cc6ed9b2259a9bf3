"""The options that a project knows, before and after: asked of oslo.config's own lists, as its generator does."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from devswap import development, systemd
from devswap.errors import CommandFailed, DevswapError
from devswap.journal import Swap
from devswap.machine import Machine

# What it prints last is the answer: modules may print what they like when they are imported
_LIST = """
import importlib.metadata, json, sys
spaces, failed = {}, {}
for distribution in sys.argv[1:]:
    try:
        points = importlib.metadata.distribution(distribution).entry_points
    except importlib.metadata.PackageNotFoundError:
        continue  # production need not have a library that a checkout brings
    for point in points:
        if point.group != "oslo.config.opts":
            continue
        try:
            listed = point.load()()
        except Exception as error:
            failed[point.name] = repr(error)
            continue
        known = spaces.setdefault(point.name, {})
        for group, options in listed:
            group = str(getattr(group, "name", group) or "DEFAULT")
            for option in options:
                former = [
                    "%s.%s" % (each.group or group, (each.name or option.name).replace("-", "_"))
                    for each in option.deprecated_opts
                ]
                known["%s.%s" % (group, option.name.replace("-", "_"))] = [bool(option.deprecated_for_removal), former]
sys.stdout.write("\\n" + json.dumps({"spaces": spaces, "failed": failed}))
"""


@dataclass(frozen=True)
class Listed:
    """The options of a project by the name of their list: {"DEFAULT.debug": [is it to be removed, [old names]]}."""

    spaces: Mapping[str, Mapping[str, tuple[bool, Sequence[str]]]]
    failed: Mapping[str, str]
    """Lists that cannot be made here, and why."""

    def deprecated(self, without: Collection[str]) -> dict[str, bool]:
        """Every option, and whether it is to be removed some day."""
        lists = (known for name, known in self.spaces.items() if name not in without)
        return {option: ends for known in lists for option, (ends, _) in known.items()}

    def former(self) -> dict[str, str]:
        """Old names, and what they are called now."""
        return {old: name for known in self.spaces.values() for name, (_, former) in known.items() for old in former}


@dataclass(frozen=True)
class Options:
    """What changes for whoever writes the configuration; `set` are those of them that production's files set."""

    new: list[str]
    removed: list[str]
    deprecated: list[str]
    renamed: dict[str, str]
    set: list[str]
    failed: dict[str, str]
    """Lists that are not compared, and why."""


def listed(machine: Machine, swap: Swap, python: str, distributions: Sequence[str]) -> Listed:
    """What `distributions` list in the eyes of `python`: their code runs as the service's user, without a network."""
    try:
        result = systemd.run_in_unit(
            machine,
            f"devswap-{swap.service}-options.service",
            development.overriding([python, "-B", "-c", _LIST, *distributions], {"HOME": "/tmp"}),  # noqa: S108 - its own
            user=swap.deployment["user"],
            group=swap.deployment["group"],
            cwd="/",
            properties={"PrivateTmp": "yes", "PrivateNetwork": "yes"},
        )
    except CommandFailed as error:
        raise DevswapError(f"cannot list the options of {', '.join(distributions)}: {error.result.tail}") from error
    found = json.loads(result.stdout.splitlines()[-1])
    return Listed(found["spaces"], found["failed"])


def compared(before: Listed, after: Listed, present: Sequence[str]) -> Options:
    """What both can list; `present` are the options that production's files set."""
    failed = {**before.failed, **after.failed}
    old, new, former = before.deprecated(failed), after.deprecated(failed), after.former()
    gone = set(old) - set(new)
    renamed = {name: former[name] for name in sorted(gone) if name in former}
    removed = sorted(gone - set(renamed))
    deprecated = sorted(name for name, ends in new.items() if ends and not old.get(name, False))
    return Options(
        new=sorted(set(new) - set(old)),
        removed=removed,
        deprecated=deprecated,
        renamed=renamed,
        set=sorted({*removed, *deprecated, *renamed} & set(present)),
        failed=failed,
    )


def set_in(machine: Machine, files: Sequence[str]) -> list[str]:
    """The names of the options that configuration files set; their values are nobody's business."""
    found = []
    for path in files:
        group = "DEFAULT"
        for line in (machine.read_text(path) or "").splitlines():
            if section := re.match(r"\[([^\]]+)\]", line):
                group = section[1]
            elif option := re.match(r"([\w-]+)\s*[=:]", line):
                found.append(f"{group}.{option[1].replace('-', '_')}")
    return list(dict.fromkeys(found))
