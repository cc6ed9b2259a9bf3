"""What an overlay holds besides production's packages, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `status` shows tables, and has no use for what installs
    from devswap.installer import Installed

HEADER = ("PACKAGE", "FROM", "TO", "WHERE FROM", "WHY")


def lock(installed: Iterable[Installed]) -> list[dict[str, str | None]]:
    """One object a package: `from` is production's version (None: it has none), `sha256` that of its file."""
    return [
        {
            "package": each.name,
            "from": each.previous,
            "to": each.version,
            "where": each.origin,
            "constraint": each.constraint,
            "why": each.why,
            "sha256": each.sha256,
        }
        for each in sorted(installed, key=lambda each: each.name)
    ]


def rows(locked: Iterable[Mapping[str, str | None]]) -> list[tuple[str, ...]]:
    """The cells below HEADER, from what `lock` gave."""
    return [
        (f"{each['package']}", each["from"] or "-", f"{each['to']}", _where(each), f"{each['why']}") for each in locked
    ]


def summary(locked: Sequence[Mapping[str, str | None]]) -> str:
    """In a line: "a 2.0 (production has 1.0), b 1.0"."""
    return ", ".join(
        f"{each['package']} {each['to']}" + (f" (production has {each['from']})" if each["from"] else "")
        for each in locked
    )


def _where(each: Mapping[str, str | None]) -> str:
    return f"{each['where']}, held by {each['constraint']}" if each["constraint"] else f"{each['where']}"
