"""What restore.sh says of a database is shell, and does what devswap would do: with programs of this test's own."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from pathlib import Path

import pytest

from devswap import database_by_hand

USERS = [("local:", "heat-engine.service"), ("local:", "heat-api.service"), ("local:", "idle.service")]
PROGRAMS = {
    "mysql": 'echo "mysql $*" >> LOG\n'
    'case "$*" in *version_num*) echo b2;; *-e*) echo "DROP TABLE x;";; *) cat >> LOG; esac\n',
    "mktemp": "echo LOG.saved\n",
    "mysqldump": 'echo "mysqldump $*" >> LOG\ncase "$*" in *no-data*) cat LOG.schema;; *) echo "-- save"; esac\n',
    "systemctl": 'echo "systemctl $*" >> LOG\n[ "$1" != is-active ] || [ "$3" != idle.service ]\n',
}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    for name, text in PROGRAMS.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n" + text.replace("LOG", str(tmp_path / "log")))
        program.chmod(0o755)
    (tmp_path / "dump.gz").write_bytes(gzip.compress(b"CREATE TABLE old;\n"))
    (tmp_path / "log").touch()
    (tmp_path / "log.schema").write_text("CREATE TABLE `x` () AUTO_INCREMENT=7;\n")
    return tmp_path / "log"


def run(folder: Path, *revisions: str, schemas: tuple[str, ...] = ("he at-`1",)) -> None:
    schema = hashlib.sha256(b"CREATE TABLE `x` ();\n").hexdigest()
    loads = [
        database_by_hand.Load("local:", name, revisions, schema, folder / "dump.gz", folder / "begun")
        for name in schemas
    ]
    lines = database_by_hand.load_lines(loads, users=USERS)
    path = f"{folder / 'bin'}:/usr/bin:/bin"
    subprocess.run(["/bin/sh", "-eu", "-c", "\n".join(lines)], env={"PATH": path}, check=True, cwd=folder)


def test_a_database_at_its_revision_is_left_alone(log: Path) -> None:
    run(log.parent, "b2")
    assert "CREATE" not in log.read_text()
    assert "systemctl stop" not in log.read_text()


def test_what_an_interrupted_migration_left_at_the_same_revision_is_loaded(log: Path) -> None:
    log.with_name("log.schema").write_text("CREATE TABLE `x` (half);\n")
    run(log.parent, "b2")
    assert "CREATE TABLE old;" in log.read_text()


def test_another_revision_is_saved_dropped_and_loaded_while_nobody_writes(log: Path) -> None:
    run(log.parent, "a1")
    lines = log.read_text().splitlines()
    saved = next(number for number, line in enumerate(lines) if line.startswith("mysqldump") and "no-data" not in line)
    stopped, loaded = lines.index("systemctl stop heat-api.service"), lines.index("CREATE TABLE old;")
    assert log.with_name("log.saved").read_text() == "-- save\n"
    assert saved < stopped < lines.index("DROP TABLE x;") < loaded
    assert loaded < lines.index("systemctl start heat-api.service")
    assert "systemctl stop heat-engine.service" in lines
    assert "systemctl start heat-engine.service" not in lines
    assert not any("idle" in line for line in lines if "is-active" not in line)
    assert not (log.parent / "start-again.sh").exists()
    assert not (log.parent / "begun").exists()
    assert any(line.endswith("he at-`1") for line in lines)


def test_a_load_that_was_interrupted_is_done_again(log: Path) -> None:
    (log.parent / "begun").touch()
    run(log.parent, "b2")
    assert "CREATE TABLE old;" in log.read_text()


def test_nothing_is_dropped_for_a_broken_dump(log: Path) -> None:
    (log.parent / "dump.gz").write_bytes(b"\x1f\x8bbroken")
    run(log.parent, "a1")
    assert "DROP" not in log.read_text()


def test_nobody_writes_before_the_last_of_several_is_loaded(log: Path) -> None:
    run(log.parent, "a1", schemas=("api", "cell0"))
    lines = log.read_text().splitlines()
    loads = [number for number, line in enumerate(lines) if line == "CREATE TABLE old;"]
    assert len(loads) == 2
    assert lines.index("systemctl stop heat-api.service") < loads[0]
    assert lines.index("systemctl start heat-api.service") > loads[1]
