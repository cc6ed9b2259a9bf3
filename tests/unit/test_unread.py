"""What nobody can read any more hides no failure: production that is not whole is exit 3 to whoever asked."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from devswap import cli, swap
from devswap.wish import Wish
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.person import Person
from tests.simulated.snapshot import Snapshot
from tests.unit.test_full_disk import types

CLOSED = """
import subprocess
from devswap import cli, console
from devswap.errors import NotWhole
cli._open_what_is_closed()
subprocess.run(["sh", "-c", "echo to nobody; echo to nobody >&2; cat"], check=True)
console.say("it is said")
console.show_error(NotWhole("and told"))
print("and shown")
raise SystemExit(cli._flushed(3))
"""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("line", [("restore",), ("restore", "--json")])
def test_a_restore_that_fails_is_exit_3_whatever_becomes_of_its_words(
    cloud: SimulatedCloud,
    whole: Snapshot,
    person: Person,
    monkeypatch: pytest.MonkeyPatch,
    stream: str,
    line: tuple[str, ...],
) -> None:
    """One of two comes back, and the other one's journal cannot be read."""
    for service in ("heat-engine", "heat-api"):
        swap.checkout(cloud.host(), Wish(service, "plain", None, None, detach=True), cloud.makers)
    folder = next(each.folder for each in cloud.host().journals.all() if each.swap.service == "heat-api")
    text = (folder / "journal.json").read_text()
    (folder / "journal.json").write_text("{")
    with monkeypatch.context() as now, Path("/dev/full").open("w") as full:
        now.setattr(sys, stream, full)
        assert types(now, *line) == 3
        now.setattr(sys, stream, io.StringIO())  # what is left in it is flushed when it is closed
    (folder / "journal.json").write_text(text)
    assert types(monkeypatch, "restore") == 0
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_nobody_elses(closed: str) -> None:
    argv = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", CLOSED]
    assert subprocess.run(argv, check=False, capture_output=True).returncode == 3


def test_what_was_done_and_cannot_be_told_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        full.write("a result")
        assert cli._flushed(0) == 1
        assert cli._flushed(3) == 3
