"""What counts as a save, however an editor does it."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap.saves import Saves


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("heat/engine", "heat/tests", ".git", "etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "heat/engine/service.py").write_text("old")
    return tmp_path


@pytest.fixture
def saves(tree: Path) -> Iterator[Saves]:
    watched = Saves([tree])
    yield watched
    watched.close()


def saved(saves: Saves) -> set[Path]:
    assert select.select([saves.descriptor], [], [], 5)[0], "the kernel says nothing"
    return saves.now()


def test_a_file_that_is_written_is_a_save(tree: Path, saves: Saves) -> None:
    assert saves.now() == set()
    (tree / "heat/engine/service.py").write_text("new")
    assert saved(saves) == {tree / "heat/engine/service.py"}
    assert saves.now() == set()


def test_an_editor_that_renames_a_new_file_is_one_save(tree: Path, saves: Saves) -> None:
    (tree / "heat/engine/.service.py.swp").write_text("")
    (tree / "heat/engine/4913").write_text("")
    (tree / "heat/engine/service.py~").write_text("")
    (tree / "heat/engine/.new").write_text("new")
    (tree / "heat/engine/.new").rename(tree / "heat/engine/service.py")
    assert saved(saves) == {tree / "heat/engine/service.py"}


def test_paste_and_configuration_count_and_files_that_go(tree: Path, saves: Saves) -> None:
    (tree / "etc/api-paste.ini").write_text("")
    (tree / "etc/heat.conf").write_text("")
    (tree / "heat/engine/service.py").unlink()
    assert saved(saves) == {tree / "etc/api-paste.ini", tree / "etc/heat.conf", tree / "heat/engine/service.py"}


def test_what_no_service_reads_is_no_save(tree: Path, saves: Saves) -> None:
    (tree / "heat/tests/test_engine.py").write_text("")
    (tree / ".git/index.py").write_text("")
    (tree / "README.rst").write_text("")
    assert saves.now() == set()


def test_a_new_folder_is_watched_with_what_is_in_it_already(tree: Path, saves: Saves) -> None:
    (tree / "heat/new/deep").mkdir(parents=True)
    (tree / "heat/new/deep/first.py").write_text("")
    assert tree / "heat/new/deep/first.py" in saved(saves)
    (tree / "heat/new/deep/second.py").write_text("")
    assert saved(saves) == {tree / "heat/new/deep/second.py"}


def test_many_files_at_once_are_one_save_and_waited_for_a_tenth_of_a_second_at_most(tree: Path, saves: Saves) -> None:
    (tree / "heat/a.py").write_text("")
    began = time.monotonic()
    (tree / "heat/b.py").write_text("")
    assert saved(saves) == {tree / "heat/a.py", tree / "heat/b.py"}
    assert time.monotonic() - began < 1  # with room for a busy host
