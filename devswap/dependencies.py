"""Follows Depends-On footers from change to change: which changes of other projects a checkout needs.

A footer counts wherever Zuul would find it: in every commit that no branch has yet. What a branch has is production's
business; what is in the same project must be in the history already, as git review puts it there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devswap import refs
from devswap.errors import DevswapError
from devswap.refs import Dependency


@dataclass(frozen=True)
class Change:
    """A change, or a tree of the user's own that has none (`number` is None)."""

    project: str
    """As in its address: openstack/heat, or heat alone where that is all that is known."""
    number: int | None
    commit: str
    messages: Sequence[str]
    """Of the commits that no branch has, its own first."""
    merged_into: str | None = None
    """The branch that has it."""
    ref: str = ""
    """What a person would type for it."""

    def __str__(self) -> str:
        return f"{self.repository} {self.number}" if self.number else self.repository

    @property
    def repository(self) -> str:
        return self.project.rpartition("/")[2]


@dataclass
class Walk:
    """`look` finds the change that a footer of another names; `contains` tells whether one has another in its history.

    `say` hears what is skipped, and why.
    """

    look: Callable[[Dependency, Change], Change]
    contains: Callable[[Change, Change], bool]
    say: Callable[[str], None]
    _needed: dict[str, Change] = field(default_factory=dict)
    _seen: set[tuple[str, int | None]] = field(default_factory=set)

    def needed(self, start: Change) -> list[Change]:
        """The changes of other projects that `start` needs, one for each; raises DevswapError for a circle."""
        self._follow(start, [start])
        return list(self._needed.values())

    def _follow(self, change: Change, path: list[Change]) -> None:
        for dependency in dict.fromkeys(each for message in change.messages for each in refs.depends_on(message)):
            found = self.look(dependency, change)
            if _key(found) in map(_key, path):
                circle = " → ".join(str(each) for each in (*path, found))
                raise DevswapError(
                    f"the changes depend on each other: {circle}",
                    hint="leave --with-depends out, and name what is needed: --with LIB=REF",
                )
            if found.merged_into:
                self.say(f"{change} depends on {found}, which {found.merged_into} has already: skipped")
            elif found.repository in (change.repository, path[0].repository):
                self._require_history(found, by=change, of=path)
            elif _key(found) not in self._seen:
                self._seen.add(_key(found))
                self._take(found)
                self._follow(found, [*path, found])

    def _require_history(self, found: Change, *, by: Change, of: list[Change]) -> None:
        """git review keeps changes of one project in one history; a footer for one of them only repeats that."""
        tree = by if found.repository == by.repository else of[0]
        if not self.contains(tree, found):
            raise DevswapError(
                f"{by} depends on {found}, which is not in the history of {tree}",
                hint="rebase it on that change, or leave --with-depends out",
            )
        self.say(f"{by} depends on {found}, which is in its history")

    def _take(self, found: Change) -> None:
        """Of two changes of one project the one that has the other in its history."""
        other = self._needed.get(found.repository)
        if other is None or self.contains(found, other):
            self._needed[found.repository] = found
        elif not self.contains(other, found):
            raise DevswapError(
                f"both {other} and {found} are needed, and neither has the other in its history",
                hint=f"rebase one on the other, or name what is needed: --with {found.repository}=REF",
            )


def _key(change: Change) -> tuple[str, int | None]:
    return change.repository, change.number
