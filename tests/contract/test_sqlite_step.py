"""The laws of the step that keeps SQLite databases, on a real container: as its service's user, by its own Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap.machine import Machine
from devswap.sqlite_files import SqliteFiles
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.step import Cloud
from tests.contract.test_steps import captured_by

pytestmark = pytest.mark.sandbox

FOLDER, PATTERN, USER = "/srv/node", "*/containers/*/*/*/*.db", "daemon"
PATHS = tuple(f"{FOLDER}/d1/containers/17/{name}/{name}/{name}.db" for name in ("abc", "def"))
LOOK = "find . -type f -printf '%p %U:%G %m %T@\\n' -exec sha256sum {} + | sort"
NEWER = "ALTER TABLE object ADD COLUMN note TEXT; INSERT INTO object (name) VALUES ('new')"


def execute(machine: Machine, path: str, script: str) -> None:
    run = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]); c.close()"
    machine.run(["python3", "-c", run, path, script], user=USER)


def names(machine: Machine, path: str) -> str:
    run = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT name FROM object').fetchall())"
    return machine.run(["python3", "-c", run, path], user=USER).stdout.strip()


@pytest.fixture
def stored(container: Machine) -> Iterator[Machine]:
    container.run(["install", "-d", "-o", USER, "-g", USER, FOLDER])
    for path in PATHS:
        container.run(["mkdir", "-p", path.rpartition("/")[0]], user=USER)
        execute(container, path, "CREATE TABLE object (name TEXT); INSERT INTO object VALUES ('old')")
    container.run(["chmod", "640", *PATHS])
    container.run(["sh", "-c", f"echo rows >{PATHS[0]}.pending"], user=USER)
    yield container
    container.run(["rm", "-r", FOLDER])


@pytest.fixture
def cloud(stored: Machine, tmp_path: Path) -> Cloud:
    state = tmp_path / "devswap"
    (state / "vault").mkdir(parents=True)
    return Cloud(
        machine=lambda address: stored,
        vault=state / "vault",
        shared=state / "shared",
        owed=state / "owed.json",
        saves=state / "saved",
        say=lambda line: None,
        now=lambda: "now",
    )


@pytest.fixture
def step(stored: Machine) -> KeepSqlite:
    files = SqliteFiles(stored.address, "/usr/bin/python3", USER, USER, FOLDER, (PATTERN,))
    return KeepSqlite(stored.address, "swift-container-server", files, users=())


def look(machine: Machine, *, times: bool = True) -> str:
    """Content, owners and modes of all files; with the times where nothing may be written at all."""
    shown = machine.run(["sh", "-c", LOOK if times else LOOK.replace(" %T@", "")], cwd=FOLDER).stdout
    assert "def.db" in shown
    return shown


def test_a_capture_and_an_undo_alone_change_nothing(step: KeepSqlite, cloud: Cloud, stored: Machine) -> None:
    before = look(stored)
    captured = captured_by(step, cloud)
    assert look(stored) == before
    step.undo(cloud, captured)
    assert look(stored) == before
    assert not cloud.saves.exists()


def test_what_newer_code_has_altered_is_as_it_was_and_rows_of_the_others_stay(
    step: KeepSqlite, cloud: Cloud, stored: Machine
) -> None:
    altered, other = PATHS
    captured, before = captured_by(step, cloud), look(stored, times=False)
    step.do(cloud)
    execute(stored, altered, NEWER)
    stored.run(["sh", "-c", f"echo more >>{altered}.pending"], user=USER)
    assert look(stored, times=False) != before
    step.undo(cloud, captured)
    assert look(stored, times=False) == before
    (save,) = cloud.saves.iterdir()
    once = look(stored)
    step.undo(cloud, captured)
    assert look(stored) == once
    assert list(cloud.saves.iterdir()) == [save]
    execute(stored, other, "INSERT INTO object VALUES ('meanwhile')")
    step.undo(cloud, captured)
    assert names(stored, other) == "[('old',), ('meanwhile',)]"
