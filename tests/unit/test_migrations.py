"""The revisions of a source tree are read without running any of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devswap import migrations
from devswap.errors import DevswapError

FOLDERS = ("new/versions", "old/versions")


def put(tree: Path, name: str, text: str = "") -> None:
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(text)


def test_the_head_is_what_no_other_revision_builds_upon(tmp_path: Path) -> None:
    put(tmp_path, "new/versions/a.py", "revision = 'a'\ndown_revision = None\n")
    put(tmp_path, "new/versions/b.py", "revision: str = 'b'\ndown_revision: str = 'a'\n")
    found = migrations.read(tmp_path, FOLDERS)
    assert found.known == {"a", "b"}
    assert found.heads == {"b"}
    assert found.missing_in(["a"])
    assert not found.missing_in(["b"])
    assert found.strangers(["z", "a"]) == {"z"}


def test_branches_in_subfolders_have_a_head_each_and_a_merge_joins_them(tmp_path: Path) -> None:
    put(tmp_path, "new/versions/x/a.py", "revision = 'a'\n")
    put(tmp_path, "new/versions/expand/b.py", "revision = 'b'\ndown_revision = 'a'\n")
    put(tmp_path, "new/versions/contract/c.py", "revision = 'c'\ndown_revision = 'a'\n")
    assert migrations.read(tmp_path, FOLDERS).heads == {"b", "c"}
    put(tmp_path, "new/versions/d.py", "revision = 'd'\ndown_revision = ('b', 'c')\n")
    assert migrations.read(tmp_path, FOLDERS).heads == {"d"}


def test_what_a_head_depends_on_is_none(tmp_path: Path) -> None:
    """As glance has it: its contract revisions depend on those that expand, and the table has one row."""
    put(tmp_path, "new/versions/expand.py", "revision = 'expand'\ndown_revision = None\ndepends_on = None\n")
    put(tmp_path, "new/versions/contract.py", "revision = 'contract'\ndown_revision = None\ndepends_on = 'expand'\n")
    found = migrations.read(tmp_path, FOLDERS)
    assert found.heads == {"contract"}
    assert found.known == {"contract", "expand"}


def test_numbered_ones_are_counted(tmp_path: Path) -> None:
    put(tmp_path, "old/versions/__init__.py")
    put(tmp_path, "old/versions/071_first.py")
    put(tmp_path, "old/versions/073_second.py")
    found = migrations.read(tmp_path, FOLDERS)
    assert found.known == {"migrate 71", "migrate 73"}
    assert found.heads == {"migrate 73"}


def test_the_first_layout_that_is_there_counts(tmp_path: Path) -> None:
    put(tmp_path, "old/versions/001_x.py")
    put(tmp_path, "new/versions/a.py", "revision = 'a'\n")
    assert migrations.read(tmp_path, FOLDERS).known == {"a"}


def test_a_migration_that_cannot_be_read_is_named_and_other_broken_files_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "new/versions/a.py", "revision = 'a'\n")
    put(tmp_path, "new/versions/b.py", "def (:\n")
    assert migrations.read(tmp_path, FOLDERS).heads == {"a"}
    put(tmp_path, "new/versions/c.py", "revision = 'c'\ndown_revision =\n")
    with pytest.raises(DevswapError, match=r"cannot read the migration .*/new/versions/c\.py: invalid syntax .*line 2"):
        migrations.read(tmp_path, FOLDERS)


def test_what_has_no_end_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, "new/versions/a.py", "revision = 'a'\n")
    os.mkfifo(tmp_path / "new/versions/pipe.py")
    (tmp_path / "new/versions/zero.py").symlink_to("/dev/zero")
    assert migrations.read(tmp_path, FOLDERS).heads == {"a"}


def test_a_tree_without_any_misses_nothing(tmp_path: Path) -> None:
    found = migrations.read(tmp_path, FOLDERS)
    assert not found.missing_in(["a"])
    assert found.strangers(["a"]) == frozenset()
