"""What is kept of a terminal: whole lines with their time, without colours and passwords, and never too much."""

from __future__ import annotations

import stat
from datetime import datetime
from pathlib import Path

import pytest

from devswap import transcript
from devswap.logs import time_of
from devswap.transcript import Transcript


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "terminal.log"


def texts(path: Path) -> list[str]:
    return [line.partition(" ")[2] for line in path.read_text().splitlines()]


def test_lines_come_in_pieces_and_are_kept_whole_with_their_time(path: Path) -> None:
    before = datetime.now().astimezone()
    kept = Transcript(path)
    for piece in (b"fir", b"st\r\nsec", b"ond\r\n", b"not over yet"):
        kept.write(piece)
    assert texts(path) == ["first", "second"]
    kept.close()
    assert texts(path) == ["first", "second", "not over yet"]
    at = time_of(path.read_text())
    assert at is not None
    assert 0 <= (at - before).total_seconds() + 0.001 < 60
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"\x1b[1;31mERROR\x1b[0m it \x1b]0;title\x07failed\r\n", "ERROR it failed"),
        (b"connection mysql://heat:s3cret@db/heat\n", "connection mysql://heat:***@db/heat"),
        (b"caf\xc3\xa9 \xff\x00\n", "caf\u00e9 \ufffd"),
    ],
)
def test_it_is_text_for_people(path: Path, written: bytes, read: str) -> None:
    Transcript(path).write(written)
    assert texts(path) == [read]


def test_a_line_without_an_end_is_not_kept_in_memory(path: Path) -> None:
    kept = Transcript(path)
    for _ in range(3):
        kept.write(b"x" * 50_000)
    kept.write(b"\n")
    assert [len(line) for line in texts(path)] == [100_000, 50_000]


def test_a_long_run_keeps_what_is_new(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "_LARGEST", 100)
    kept = Transcript(path)
    for number in range(8):
        kept.write(b"line %d\n" % number)
    assert (texts(path.with_suffix(".old")), texts(path)) == (["line 3", "line 4", "line 5"], ["line 6", "line 7"])


def test_a_full_disk_or_a_folder_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    lost = Transcript(tmp_path / "none" / "terminal.log")
    lost.write(b"lost\n")
    assert list(tmp_path.iterdir()) == []
    full = Transcript(Path("/dev/full"))
    for _ in range(2):
        full.write(b"lost\n")  # no error: the run goes on
    full.close()
