"""Whether the options that somebody sets are any: asked of the lists that the checkout's code gives oslo.config."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from devswap import development, systemd
from devswap.errors import CommandFailed, UsageError
from devswap.machine import Machine

_SECONDS = 300.0
# What it prints last is the answer: modules may print what they like when they are imported.
_LIST = """
import importlib.metadata, json, sys
groups, former, several, failed = {}, {}, [], []
points = importlib.metadata.entry_points()
for point in points.select(group="oslo.config.opts") if hasattr(points, "select") else points["oslo.config.opts"]:
    try:
        listed = point.load()()
    except ImportError:
        continue  # the service cannot import it either, and has no such options (heat_integrationtests)
    except Exception:
        failed.append(point.name)
        continue
    for group, options in listed:
        group = str(getattr(group, "name", group) or "DEFAULT")
        for option in options:
            name = option.name.replace("-", "_")
            groups.setdefault(group, []).append(name)
            if getattr(option, "multi", False):
                several.append("%s.%s" % (group, name))
            for old in option.deprecated_opts:
                former["%s.%s" % (old.group or group, (old.name or name).replace("-", "_"))] = "%s.%s" % (group, name)
sys.stdout.write("\\n" + json.dumps({"groups": groups, "former": former, "several": several, "failed": failed}))
"""
# What else such a group has depends on the kind of authentication that is chosen in it.
_OPEN = {"auth_type", "auth_section", "auth_plugin"}


@dataclass(frozen=True)
class Known:
    """The options of each group; `former` has old names with those of today, `whole` whether all could be listed.

    `several` are the names of those that may be given several times.
    """

    groups: Mapping[str, Collection[str]]
    former: Mapping[str, str]
    whole: bool
    several: Collection[str] = ()


def listed(machine: Machine, service: str, python: str, deployment: Mapping[str, Any]) -> Known | None:
    """In the eyes of `python`, whose code runs as the service's user, without a network; None where it cannot tell."""
    try:
        result = systemd.run_in_unit(
            machine,
            f"devswap-{service}-options.service",
            development.overriding([python, "-B", "-c", _LIST], {"HOME": "/tmp"}),  # noqa: S108 - its own
            user=deployment["user"],
            group=deployment["group"],
            cwd="/",
            properties={"PrivateTmp": "yes", "PrivateNetwork": "yes"},
            timeout=_SECONDS,
        )
        found = json.loads(result.stdout.splitlines()[-1])
    except (CommandFailed, ValueError, IndexError):
        return None
    return Known(found["groups"], found["former"], not found["failed"], found["several"])


def doubtful(known: Known | None, names: Collection[str]) -> list[str]:
    """A line for each of `names` (GROUP.OPTION) that may be none; raises UsageError for what certainly is none."""
    return [line for name in names if (line := _doubt(known, name))]


def of_several(known: Known | None, names: Collection[str]) -> list[str]:
    """Those of `names` that may be given several times: a variable would be taken for a list of its letters."""
    several = {name.lower() for name in known.several} if known else set()
    return [name for name in names if name.lower() in several]


def _doubt(known: Known | None, name: str) -> str:
    group, _, option = name.rpartition(".")
    if known is None or not known.groups:
        return f"whether there is an option {name} cannot be told here"
    groups = {each.lower(): each for each in known.groups}
    options = known.groups.get(groups.get(group.lower(), ""), ())
    if option in options:
        return ""
    if now := known.former.get(name):
        raise UsageError(f"{name} is called {now} now, and the environment knows that name only", hint=f"--set {now}=…")
    if not options or not known.whole or _OPEN & set(options):
        return f"no list of options has {name}: it is set all the same"
    raise UsageError(f"there is no option {name}", hint=_meant(known, groups[group.lower()], option))


def _meant(known: Known, group: str, option: str) -> str:
    near = [f"{group}.{each}" for each in difflib.get_close_matches(option, known.groups[group], n=1)]
    elsewhere = [f"{name}.{option}" for name, options in sorted(known.groups.items()) if option in options]
    found = [*elsewhere[:1], *near]
    return f"--set {found[0]}=…" if found else f"[{group}] has {', '.join(sorted(known.groups[group])[:5])} …"
