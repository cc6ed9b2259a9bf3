"""A disk that is full is told by what could not be written, and by what to type."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import cli, console, swap
from devswap.errors import DevswapError
from devswap.journal import Journal, write_durably
from tests.simulated import disk, images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.person import Person
from tests.unit import examples


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.checkout("migrates", revisions=("a1", "b2"))
    Person(found, monkeypatch)
    checkout = swap.checkout
    monkeypatch.setattr(swap, "checkout", lambda host, wish, _, **more: checkout(host, wish, found.makers, **more))
    with no_waiting(monkeypatch):
        yield found


def fill(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whoever writes a file whose name ends so finds the disk full; the kernel does not say which file that was."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def types(monkeypatch: pytest.MonkeyPatch, *argv: str) -> int:
    monkeypatch.setattr(sys, "argv", ["devswap", *argv])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(str(ended.value.code))


@pytest.mark.parametrize(
    ("suffix", "named"), [("database.sql.gz.part", "database.sql.gz"), (".journal.json.new", "journal.json")]
)
def test_a_checkout_that_finds_it_full_names_the_file(
    cloud: SimulatedCloud,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    suffix: str,
    named: str,
) -> None:
    before = cloud.take()
    fill(monkeypatch, suffix)
    assert types(monkeypatch, "checkout", "heat-engine", "migrates", "--detach", "--machine", images.HEAT) == 1
    said = capsys.readouterr().err
    assert f"cannot write {cloud.state}/" in said
    assert named in said
    assert f"df -h {cloud.state}" in said
    monkeypatch.undo()
    assert differences(cloud, before) == []


def test_a_checkout_that_finds_it_read_only_names_what_shows_why(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = cloud.take()
    with monkeypatch.context() as now:
        now.setattr(os, "open", disk.read_only(cloud.state))
        assert types(now, "checkout", "heat-engine", "migrates", "--detach", "--machine", images.HEAT) == 1
    said = capsys.readouterr().err
    assert re.search(rf"cannot write {cloud.state}/\S+: its file system can only be read", said)
    assert f"findmnt --target {cloud.state}" in said
    assert differences(cloud, before) == []


def test_a_way_back_needs_no_room_to_say_whose_it_is(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cloud.take()
    assert types(monkeypatch, "checkout", "heat-engine", "migrates", "--detach", "--machine", images.HEAT) == 0
    with monkeypatch.context() as now:

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        now.setattr(os, "pwrite", full)
        assert types(now, "restore", "heat-engine") == 0
    assert [line for line in differences(cloud, before) if "saved" not in line] == []


@pytest.mark.parametrize("full", [".journal.json.new", "heat-engine@lxc:web"])
def test_a_journal_that_cannot_be_begun_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: str
) -> None:
    """Neither where its file cannot be written nor where its folder cannot be flushed, with the file in its place."""
    folder = tmp_path / "swaps" / "heat-engine@lxc:web"
    fill(monkeypatch, full)
    with pytest.raises(OSError, match="No space left on device"):
        Journal.create(folder, examples.swap())
    assert list((tmp_path / "swaps").iterdir()) == []
    monkeypatch.undo()
    assert Journal.create(folder, examples.swap()).entries == ()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.json"
    write_durably(path, b"before")
    fill(monkeypatch, ".journal.json.new")
    with pytest.raises(OSError, match=f"No space left on device: '{path}'"):
        write_durably(path, b"after")
    assert path.read_bytes() == b"before"


@pytest.mark.parametrize("fails", ["open", "write"])
def test_a_log_that_cannot_be_written_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fails: str
) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(logging.FileHandler, "_open" if fails == "open" else "flush", full)
    monkeypatch.setattr(console, "_log_file", [])
    monkeypatch.setattr(console, "_log_trouble", [])
    try:
        console.keep_log(tmp_path)
        console.show_error(DevswapError("it failed", hint="do this"))
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    said = capsys.readouterr().err
    assert "it failed" in said
    assert "do this" in said
    assert ".log cannot be written: No space left on device" in said
