"""Shared captures: looked for without a trace, and gone record first."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap.shared import Record, Shelf

RECORD = Record("database heat", ("one", "two"), {"kind": "x"}, {"dump": "dump.gz"})


def test_looking_for_a_record_makes_no_folder(tmp_path: Path) -> None:
    assert Shelf(tmp_path / "shared").find("database heat") is None
    assert list(tmp_path.iterdir()) == []


def test_the_last_that_leaves_takes_all_of_it(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    (shelf.vault(RECORD.name) / "dump.gz").touch()
    shelf.keep(RECORD)
    shelf.leave(RECORD, "one")
    rest = shelf.find(RECORD.name)
    assert rest is not None
    assert rest.holders == ("two",)
    shelf.leave(rest, "two")
    assert list(tmp_path.iterdir()) == []


def test_a_record_never_outlives_its_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Shelf(tmp_path)
    shelf.keep(Record(RECORD.name, ("one",), {}, {}))

    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        shelf.leave(Record(RECORD.name, ("one",), {}, {}), "one")
    assert shelf.find(RECORD.name) is None


def test_one_that_the_disk_does_not_give_back_hides_no_other(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.keep(RECORD)
    (tmp_path / "broken" / "record.json").mkdir(parents=True)  # it cannot be read
    assert [each.name for each in shelf.held_by("two")] == [RECORD.name]
