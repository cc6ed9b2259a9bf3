"""What becomes of databases in files: those whose schema differs come back, and every other one keeps its rows."""

from __future__ import annotations

import io
import json
import os
import shlex
import sqlite3
import sys
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from devswap import process, sqlite_by_hand, sqlite_files, sqlite_inside
from devswap.errors import DevswapError
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.step import Cloud
from tests.simulated import images, sqlite
from tests.simulated.calls import Fault, Kind
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.files import Files
from tests.simulated.machine import SimulatedMachine
from tests.unit.steps.examples import ON, STORED, example

FIRST, SECOND, THIRD = sqlite.path("abc"), sqlite.path("def"), sqlite.path("ghi")
ALTER = "ALTER TABLE object ADD COLUMN note TEXT DEFAULT ''"
NEW_ROW = "INSERT INTO object (name) VALUES ('new')"
NAMES = "SELECT name FROM object"
API = "heat-api.service"


def captured_by(step: KeepSqlite, cloud: Cloud) -> dict[str, Any]:
    """As it comes back from the journal."""
    found: dict[str, Any] = json.loads(json.dumps(step.capture(cloud)))
    return found


@pytest.fixture
def step(simulated: SimulatedCloud) -> KeepSqlite:
    found = example("keep-sqlite", simulated)
    assert isinstance(found, KeepSqlite)
    return found


@pytest.fixture
def machine(simulated: SimulatedCloud) -> SimulatedMachine:
    return simulated.machine(images.HEAT)


@pytest.fixture
def files(machine: SimulatedMachine) -> Files:
    sqlite.execute(machine.files, FIRST, "INSERT INTO object (name) VALUES ('old')")
    return machine.files


def saves(cloud: Cloud) -> list[Path]:
    return sorted(cloud.saves.iterdir()) if cloud.saves.exists() else []


def test_rows_stay_where_the_schema_is_the_same_and_nobody_is_stopped(
    simulated: SimulatedCloud, cloud: Cloud, step: KeepSqlite, files: Files
) -> None:
    captured = captured_by(step, cloud)
    sqlite.execute(files, FIRST, NEW_ROW)
    simulated.calls.begin()
    step.undo(cloud, captured)
    assert sqlite.rows(files, FIRST, NAMES) == [("old",), ("new",)]
    assert saves(cloud) == []
    assert not any(API in name for name in simulated.calls.names if " stop " in name)


def test_one_that_was_altered_is_saved_and_comes_back_and_the_others_keep_their_rows(
    simulated: SimulatedCloud, cloud: Cloud, step: KeepSqlite, files: Files, machine: SimulatedMachine
) -> None:
    captured, before = captured_by(step, cloud), files.read(f"{sqlite.FOLDER}/{FIRST}")
    sqlite.execute(files, FIRST, f"{ALTER}; {NEW_ROW}")
    sqlite.execute(files, SECOND, NEW_ROW)
    simulated.calls.begin()
    step.undo(cloud, captured)
    assert files.read(f"{sqlite.FOLDER}/{FIRST}") == before
    assert sqlite.rows(files, SECOND, NAMES) == [("new",)]
    (save,) = saves(cloud)
    assert save.name == "heat-engine-now.tar.gz"
    kept = sqlite_files.contents(save)
    assert {path: each["rows"] for path, each in kept.items()} == {FIRST: {"object": 2}}
    assert f"{sqlite.FOLDER}/{FIRST} is put back as it was" in simulated.said
    assert any("about 1 rows of object leave it" in line for line in simulated.said)
    order = [name.partition(": ")[2] for name in simulated.calls.names]
    stopped, put = (next(n for n, name in enumerate(order) if word in name) for word in (f"stop -- {API}", "put-back"))
    assert stopped < put
    assert machine.init.is_active(API)


def test_its_mode_comes_back_and_what_lay_beside_it(cloud: Cloud, step: KeepSqlite, files: Files) -> None:
    pending = f"{sqlite.FOLDER}/{FIRST}.pending"
    files.write(pending, b":rows of production", 0o644)
    sqlite.put(files, SECOND, files.read(f"{sqlite.FOLDER}/{SECOND}") or b"", 0o600)
    captured = captured_by(step, cloud)
    for path in (FIRST, SECOND):
        sqlite.put(files, path, sqlite.changed(files.read(f"{sqlite.FOLDER}/{path}") or b"", ALTER), 0o666)
        files.write(f"{sqlite.FOLDER}/{path}.pending", b":rows of development", 0o644)
        files.write(f"{sqlite.FOLDER}/{path}-journal", b"", 0o644)
    step.undo(cloud, captured)
    assert files.read(pending) == b":rows of production"
    beside = files.names(f"{sqlite.FOLDER}/{SECOND}".rpartition("/")[0])
    assert beside == ["def.db"]
    found = files.find(f"{sqlite.FOLDER}/{SECOND}")
    assert getattr(found, "mode", None) == 0o600


def test_a_new_one_stays_if_its_schema_is_known_whichever_way_it_came_about(
    cloud: Cloud, step: KeepSqlite, files: Files
) -> None:
    sqlite.execute(files, FIRST, ALTER)
    captured = captured_by(step, cloud)
    made = sqlite.SCHEMA.replace("name TEXT,", "name TEXT, note TEXT DEFAULT '',")
    for path, schema in ((THIRD, sqlite.SCHEMA), (sqlite.path("jkl"), made)):
        sqlite.make(files, path, schema)
    step.undo(cloud, captured)
    assert files.exists(f"{sqlite.FOLDER}/{THIRD}")
    assert files.exists(f"{sqlite.FOLDER}/{sqlite.path('jkl')}")
    assert saves(cloud) == []


def test_one_that_was_brought_to_the_schema_of_another_keeps_its_rows(
    cloud: Cloud, step: KeepSqlite, files: Files
) -> None:
    """Production's code does that itself, with each old one that it opens."""
    sqlite.execute(files, FIRST, ALTER)
    captured = captured_by(step, cloud)
    sqlite.execute(files, SECOND, f"{ALTER}; {NEW_ROW}")
    step.undo(cloud, captured)
    assert sqlite.rows(files, SECOND, NAMES) == [("new",)]
    assert saves(cloud) == []


def test_what_could_not_be_read_before_excuses_no_other(cloud: Cloud, step: KeepSqlite, files: Files) -> None:
    sqlite.put(files, FIRST, b"no database at all" * 100)
    captured = captured_by(step, cloud)
    before = files.read(f"{sqlite.FOLDER}/{SECOND}")
    sqlite.put(files, SECOND, b"nor is this one" * 100)
    step.undo(cloud, captured)
    assert files.read(f"{sqlite.FOLDER}/{FIRST}") == b"no database at all" * 100
    assert files.read(f"{sqlite.FOLDER}/{SECOND}") == before


def test_a_new_one_that_only_development_can_have_made_is_saved_and_goes(
    simulated: SimulatedCloud, cloud: Cloud, step: KeepSqlite, files: Files
) -> None:
    captured = captured_by(step, cloud)
    sqlite.make(files, THIRD, f"{sqlite.SCHEMA}; {ALTER}; {NEW_ROW}")
    files.write(f"{sqlite.FOLDER}/{THIRD}.pending", b"", 0o644)
    step.undo(cloud, captured)
    assert files.names(f"{sqlite.FOLDER}/{THIRD}".rpartition("/")[0]) == []
    assert THIRD in sqlite_files.contents(saves(cloud)[0])
    assert any("it is new, and has a schema that none had" in line for line in simulated.said)


def test_one_that_is_gone_stays_so(cloud: Cloud, step: KeepSqlite, files: Files) -> None:
    captured = captured_by(step, cloud)
    files.remove(f"{sqlite.FOLDER}/{FIRST}")
    sqlite.execute(files, SECOND, ALTER)
    step.undo(cloud, captured)
    assert not files.exists(f"{sqlite.FOLDER}/{FIRST}")
    assert STORED.differing(cloud.machine(ON), captured["files"]) == {}


def test_one_that_is_no_database_any_more_comes_back(cloud: Cloud, step: KeepSqlite, files: Files) -> None:
    captured, before = captured_by(step, cloud), files.read(f"{sqlite.FOLDER}/{FIRST}")
    sqlite.put(files, FIRST, b"no database at all" * 100)
    step.undo(cloud, captured)
    assert files.read(f"{sqlite.FOLDER}/{FIRST}") == before
    assert "unreadable" in str(sqlite_files.contents(saves(cloud)[0])[FIRST])


def test_one_that_was_brought_into_another_mode_comes_back(cloud: Cloud, step: KeepSqlite, files: Files) -> None:
    captured, before = captured_by(step, cloud), files.read(f"{sqlite.FOLDER}/{FIRST}")
    sqlite.execute(files, FIRST, "PRAGMA journal_mode = wal")
    step.undo(cloud, captured)
    assert files.read(f"{sqlite.FOLDER}/{FIRST}") == before


def test_what_was_interrupted_among_several_files_is_done_to_its_end(
    simulated: SimulatedCloud, cloud: Cloud, step: KeepSqlite, files: Files, machine: SimulatedMachine
) -> None:
    captured, before = captured_by(step, cloud), simulated.take()
    for path in (FIRST, SECOND):
        sqlite.execute(files, path, ALTER)
    altered = simulated.take()
    simulated.calls.begin()
    step.undo(cloud, captured)
    number = next(n for n, name in enumerate(simulated.calls.names) if name.endswith("put-back"))
    parts = simulated.calls.parts[number]
    assert parts > 2
    for part in range(1, parts):
        simulated.put_back(altered)
        simulated.calls.begin(Fault(number, Kind.HALF, part))
        with pytest.raises(DevswapError):
            step.undo(cloud, captured)
        assert not machine.init.is_active(API)
        simulated.calls.begin()
        step.undo(cloud, captured)
        assert differences(simulated, before) == []
        first = sqlite_files.contents(cloud.saves / "heat-engine-now.tar.gz")
        assert set(first) == {FIRST, SECOND}, "what a retry finds is saved beside it"


def test_nothing_is_changed_by_an_archive_that_is_not_whole(cloud: Cloud, step: KeepSqlite, files: Files) -> None:
    captured = captured_by(step, cloud)
    sqlite.execute(files, FIRST, ALTER)
    archive = cloud.vault / "sqlite.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(DevswapError, match="cannot use the archive"):
        step.undo(cloud, captured)
    assert sqlite.rows(files, FIRST, "SELECT note FROM object") == [("",)]


def test_what_a_killed_devswap_left_at_work_is_ended_first(
    cloud: Cloud, step: KeepSqlite, machine: SimulatedMachine
) -> None:
    captured = captured_by(step, cloud)
    machine.make_transient("devswap-heat-engine-sqlite.service", ["sleep"])
    step.undo(cloud, captured)
    assert not machine.init.is_active("devswap-heat-engine-sqlite.service")


def test_what_is_left_by_the_users_word_keeps_the_copies(cloud: Cloud, step: KeepSqlite, files: Files) -> None:
    captured = captured_by(step, cloud)
    sqlite.execute(files, FIRST, ALTER)
    step.keep(cloud, captured)
    step.keep(cloud, captured)
    assert [path.name for path in saves(cloud)] == ["before-heat-engine-now.tar.gz"]
    assert set(sqlite_files.contents(saves(cloud)[0])) == {FIRST, SECOND}
    assert sqlite.rows(files, FIRST, "SELECT note FROM object") == [("",)]


def test_the_copies_are_for_root_alone(cloud: Cloud, step: KeepSqlite) -> None:
    captured_by(step, cloud)
    assert {path.stat().st_mode & 0o777 for path in cloud.vault.iterdir()} == {0o600}


def test_a_disk_without_room_is_told_before_anything_is_copied(
    cloud: Cloud, step: KeepSqlite, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 0

    monkeypatch.setattr("shutil.disk_usage", lambda place: Usage)
    with pytest.raises(DevswapError, match="they need up to"):
        step.require_space(cloud.machine(ON), cloud.vault)
    with pytest.raises(DevswapError, match="they need up to"):
        captured_by(step, cloud)
    assert list(cloud.vault.iterdir()) == []


def test_a_restore_that_cannot_save_is_not_begun(
    cloud: Cloud, step: KeepSqlite, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = captured_by(step, cloud)
    sqlite.execute(files, FIRST, ALTER)
    step.foresee(cloud, captured)

    class Usage:
        free = 0

    monkeypatch.setattr("shutil.disk_usage", lambda place: Usage)
    with pytest.raises(DevswapError) as caught:
        step.foresee(cloud, captured)
    assert "--keep-database" in (caught.value.hint or "")


def test_by_hand_the_same_program_reads_the_same_line(cloud: Cloud, step: KeepSqlite) -> None:
    captured = captured_by(step, cloud)
    lines = step.by_hand(captured, cloud.vault)
    assert lines[0].endswith("systemctl stop devswap-heat-engine-sqlite.service || true")
    asked = cloud.vault / sqlite_by_hand.ASKED
    assert any(shlex.quote(str(asked)) in line and "put-back" in line for line in lines)
    assert asked.read_text() == STORED.asked(captured["files"])
    assert (cloud.vault / sqlite_by_hand.SCRIPT).read_text() == sqlite_files.script()


def test_one_that_development_has_locked_comes_back_once_that_is_stopped(
    cloud: Cloud, step: KeepSqlite, files: Files, machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands at a breakpoint within a transaction."""
    captured, before = captured_by(step, cloud), files.read(f"{sqlite.FOLDER}/{FIRST}")
    sqlite.execute(files, FIRST, ALTER)
    monkeypatch.setattr(sqlite, "_run", sqlite._run.__wrapped__)  # what is locked now is not so later
    real = sqlite_inside._is_held

    def locked(path: str, connection: sqlite3.Connection) -> bool:
        if machine.init.is_active(API):
            raise sqlite_inside.InUse(f"{path}: database is locked")
        return real(path, connection)

    monkeypatch.setattr(sqlite_inside, "_is_held", locked)
    with pytest.raises(sqlite_files.InUse, match=r"cannot read the SQLite databases .*: database is locked"):
        STORED.differing(machine, captured["files"])
    step.foresee(cloud, captured)
    step.undo(cloud, captured)
    assert files.read(f"{sqlite.FOLDER}/{FIRST}") == before
    assert machine.init.is_active(API)


def test_one_that_somebody_keeps_locked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as other:
        other.executescript(f"{sqlite.SCHEMA}; BEGIN EXCLUSIVE")
        monkeypatch.setattr(sqlite_inside, "_LOCK_SECONDS", 0)
        with pytest.raises(sqlite_inside.InUse, match=f"{path}: database is locked"):
            sqlite_inside.look({"folder": str(tmp_path), "patterns": ["*.db"]})
        other.rollback()
    assert set(sqlite_inside.look({"folder": str(tmp_path), "patterns": ["*.db"]})) == {"a.db"}


def test_the_program_itself_tells_one_that_is_locked_by_its_exit_code(tmp_path: Path) -> None:
    program = sqlite_files.script().replace("_LOCK_SECONDS = 60", "_LOCK_SECONDS = 0")
    asked = json.dumps({"folder": str(tmp_path), "patterns": ["*.db"], "captured": {}}) + "\n"
    with closing(sqlite3.connect(tmp_path / "a.db")) as other:
        other.executescript(f"{sqlite.SCHEMA}; BEGIN EXCLUSIVE")
        argv = [sys.executable, "-I", "-S", "-c", program, "differing"]
        told = process.run(argv, input=asked, ok=(sqlite_inside.IN_USE,))
    assert told.stderr == f"{tmp_path}/a.db: database is locked\n"


def test_what_cannot_be_written_whole_leaves_the_database_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"altered")
    member = tarfile.TarInfo("a.db")
    member.size = 100
    with pytest.raises(OSError, match="in the midst of"):
        sqlite_inside._put(str(path), member, io.BytesIO(b"half"), None)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a.db": b"altered"}


def test_rows_beside_a_database_that_cannot_be_written_leave_it_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"altered")
    member, rows = tarfile.TarInfo("a.db"), tarfile.TarInfo("a.db.pending")
    member.size, member.gid, rows.gid = 5, os.getgid(), -2  # no group: it fails when the rows are written
    with pytest.raises(OverflowError):
        sqlite_inside._put(str(path), member, io.BytesIO(b"whole"), (rows, b"rows"))
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a.db": b"altered"}
