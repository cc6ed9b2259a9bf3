"""Depends-On footers are followed from change to change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devswap.dependencies import Change, Walk
from devswap.errors import DevswapError
from devswap.refs import Dependency, GerritChange


def proposed(project: str, number: int | None, *needs: int, merged_into: str | None = None) -> Change:
    footers = "\n".join(f"Depends-On: https://review.example.org/{need}" for need in needs)
    return Change(f"openstack/{project}", number, f"c{number}", (f"Subject\n\n{footers}\n",), merged_into)


def walk(start: Change, *others: Change, contains: tuple[tuple[int, int], ...] = ()) -> tuple[list[str], list[str]]:
    """(the changes that are needed, what was said of others); `contains` are pairs of (one, in its history)."""
    known = {each.number: each for each in (start, *others)}
    said: list[str] = []

    def look(dependency: Dependency, by: Change) -> Change:
        del by
        assert isinstance(dependency.ref, GerritChange)
        return known[dependency.ref.number]

    found = Walk(look, lambda one, other: (one.number, other.number) in contains, said.append).needed(start)
    return [str(each) for each in found], said


def test_several_changes_across_repositories_are_needed_and_what_they_need_in_turn() -> None:
    heat, db, log = proposed("heat", 1, 2, 3), proposed("oslo.db", 2, 4), proposed("oslo.log", 3)
    assert walk(heat, db, log, proposed("oslo.utils", 4)) == (["oslo.db 2", "oslo.utils 4", "oslo.log 3"], [])


def test_a_change_that_two_need_is_taken_once() -> None:
    heat = proposed("heat", 1, 2, 3)
    found, _ = walk(heat, proposed("oslo.db", 2, 4), proposed("oslo.log", 3, 4), proposed("oslo.utils", 4))
    assert found == ["oslo.db 2", "oslo.utils 4", "oslo.log 3"]


def test_a_tree_without_a_number_has_dependencies_too() -> None:
    assert walk(proposed("heat", None, 2), proposed("oslo.db", 2)) == (["oslo.db 2"], [])


def test_the_footers_of_all_commits_that_no_branch_has_count() -> None:
    heat = proposed("heat", 1)
    before = "Before\n\ndepends-on: https://review.example.org/2"
    assert walk(replace(heat, messages=(*heat.messages, before)), proposed("oslo.db", 2))[0] == ["oslo.db 2"]


@pytest.mark.parametrize(("length", "shown"), [(1, "heat 1 → heat 1"), (3, "heat 1 → oslo.db 2 → oslo.log 3 → heat 1")])
def test_a_circle_is_refused_with_its_members(length: int, shown: str) -> None:
    changes = [proposed("heat", 1, 2 if length > 1 else 1), proposed("oslo.db", 2, 3), proposed("oslo.log", 3, 1)]
    with pytest.raises(DevswapError, match=f"depend on each other: {shown}$") as caught:
        walk(*changes[:length])
    assert "--with LIB=REF" in (caught.value.hint or "")


def test_a_change_that_a_branch_has_is_skipped_and_not_followed() -> None:
    heat, db = proposed("heat", 1, 2), proposed("oslo.db", 2, 99, merged_into="master")
    assert walk(heat, db) == ([], ["heat 1 depends on oslo.db 2, which master has already: skipped"])


def test_a_change_of_the_same_project_must_be_in_the_history() -> None:
    heat, before = proposed("heat", 2, 1), proposed("heat", 1)
    assert walk(heat, before, contains=((2, 1),)) == ([], ["heat 2 depends on heat 1, which is in its history"])
    with pytest.raises(DevswapError, match="heat 2 depends on heat 1, which is not in the history of heat 2") as caught:
        walk(heat, before)
    assert "rebase" in (caught.value.hint or "")


def test_a_library_that_needs_another_change_of_the_service_is_held_against_the_services_history() -> None:
    changes = (proposed("heat", 2, 5), proposed("oslo.db", 5, 1), proposed("heat", 1))
    assert walk(*changes, contains=((2, 1),))[0] == ["oslo.db 5"]
    with pytest.raises(DevswapError, match=r"oslo\.db 5 depends on heat 1, which is not in the history of heat 2"):
        walk(*changes)


@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_of_two_changes_of_a_library_the_later_one_is_taken(order: tuple[int, int]) -> None:
    changes = (proposed("heat", 1, *order), proposed("oslo.db", 2), proposed("oslo.db", 3))
    assert walk(*changes, contains=((3, 2),))[0] == ["oslo.db 3"]
    with pytest.raises(DevswapError, match=r"are needed, and neither has the other"):
        walk(*changes)
