"""The journal is on disk as a whole or not at all, and says so when nobody can read it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from devswap.errors import DevswapError, NotWhole
from devswap.journal import VERSION, Entry, Journal, Journals, write_durably
from tests.simulated import disk
from tests.simulated.calls import Calls, Fault, Kind
from tests.unit.examples import swap

ENTRY = Entry({"kind": "mount", "on": "lxc:a", "source": "/s", "target": "/run/devswap/x", "readonly": True}, {})


def test_what_was_pushed_is_read_back(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "state" / "swap", swap())
    journal.push(ENTRY)
    read = Journal.load(journal.folder)
    assert (read.swap, read.entries) == (journal.swap, journal.entries)


def test_only_root_can_read_it(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "state" / "swap", swap())
    assert stat.S_IMODE((journal.folder / "journal.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(journal.folder.parent.stat().st_mode) == 0o700


def test_a_second_one_for_the_same_swap_is_refused(tmp_path: Path) -> None:
    Journal.create(tmp_path / "swap", swap())
    with pytest.raises(FileExistsError):
        Journal.create(tmp_path / "swap", swap())


@pytest.mark.parametrize("number", range(3))
def test_a_full_disk_leaves_the_journal_as_it_was_in_memory_and_the_old_or_the_new_one_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    journal = Journal.create(tmp_path / "swap", swap())
    calls = Calls()
    calls.begin(Fault(number, Kind.RAISES))
    with disk.watched(monkeypatch, tmp_path, calls), pytest.raises(OSError, match="No space left"):
        journal.push(ENTRY)
    assert journal.entries == ()
    assert Journal.load(journal.folder).entries in ((), (ENTRY,))
    journal.push(ENTRY)
    assert Journal.load(journal.folder).entries == (ENTRY,)


def test_a_takeover_that_cannot_be_noted_leaves_no_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls()
    calls.begin(Fault(4, Kind.RAISES))
    with disk.watched(monkeypatch, tmp_path, calls), pytest.raises(OSError, match="No space left"):
        Journal.create(tmp_path / "state" / "swap", swap())
    assert Journals(tmp_path / "state").all() == []


@pytest.mark.parametrize("kept", [0, 1, 40, -2])
def test_a_truncated_one_is_said_to_be_unreadable(tmp_path: Path, kept: int) -> None:
    path = Journal.create(tmp_path / "swap", swap()).folder / "journal.json"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(NotWhole, match="cannot read"):
        Journal.load(path.parent)


def test_one_of_a_newer_devswap_is_left_to_that(tmp_path: Path) -> None:
    path = Journal.create(tmp_path / "swap", swap()).folder / "journal.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": VERSION + 1}))
    with pytest.raises(NotWhole, match=f"version {VERSION + 1}"):
        Journal.load(path.parent)


def test_what_was_shown_to_a_machine_that_is_gone_goes_with_it(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "swap", swap())
    (journal.folder / "sites").mkdir()
    (journal.folder / "sites/keystone.conf").write_text("")
    journal.remove()
    assert not journal.folder.exists()


def test_one_with_steps_left_is_not_removed(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "swap", swap())
    journal.push(ENTRY)
    with pytest.raises(NotWhole):
        journal.remove()
    assert Journal.load(journal.folder).entries == (ENTRY,)


def test_a_removed_one_leaves_nothing(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "swaps" / "swap", swap())
    (journal.folder / ".journal.json.new").write_text("half")
    journal.remove()
    assert list((tmp_path / "swaps").iterdir()) == []


def test_all_lists_swaps_in_the_order_of_their_takeover(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    for service, since in (("later", "2026-01-02"), ("earlier", "2026-01-01")):
        Journal.create(journals.folder(service, "lxc:a/b"), swap(service=service, since=since))
    assert [journal.swap.service for journal in journals.all()] == ["earlier", "later"]
    assert journals.find("later", "lxc:a/b") is not None
    assert journals.find("later", "lxc:b") is None


def test_the_lock_is_given_back_and_waits_no_longer_than_it_says(tmp_path: Path) -> None:
    journals = Journals(tmp_path)
    late = f"process {os.getpid()}: .* has been changing this host for 0 s"
    with journals.changing(), pytest.raises(DevswapError, match=late), journals.changing(seconds=0.1):
        pass
    with journals.changing(seconds=0.1):
        pass


def test_writing_durably_replaces_the_file_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_durably(path, b"one")
    write_durably(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file"]
