"""What restore.sh says of HAProxy is typed here: on files, and on processes of that name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

import pytest

from devswap import haproxy, haproxy_by_hand, haproxy_edits
from devswap.haproxy_edits import Edit

TEXT = """defaults
    mode http
backend keystone-back
    server one 10.0.0.1:5000 check inter 12000 rise 3 fall 3   # the first
    server two 10.0.0.2:5000 backup check inter 12000 rise 3 fall 3
backend other-back
    server one 10.0.0.1:5000 check inter 12000 rise 3 fall 3   # the first
"""
ONE, TWO = "keystone-back/one", "keystone-back/two"


def flagged(text: str, key: str, *, backup: bool, disabled: bool, patient: bool = False) -> Edit:
    (server,) = [each for each in haproxy.read([("", text)]).servers if each.key == key]
    line = haproxy_edits.flagged(server, backup=backup, disabled=disabled)
    return Edit("", server.section, server.line, haproxy_edits.patient(server, line) if patient else line)


def sed(text: str, edits: list[Edit]) -> str:
    for edit in edits:
        argv = ["sed", "--regexp-extended", haproxy_by_hand.sed(edit)]
        text = subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout
    return text


@pytest.mark.parametrize("order", list(permutations(range(2))))
@pytest.mark.parametrize("patient", [False, True])
def test_lines_that_two_swaps_have_changed_are_put_back_in_either_order(
    *, order: tuple[int, int], patient: bool
) -> None:
    narrowing = [flagged(TEXT, ONE, backup=True, disabled=False), flagged(TEXT, TWO, backup=False, disabled=False)]
    out = flagged(TEXT, ONE, backup=False, disabled=True)
    come = flagged(haproxy_edits.edited(TEXT, [out])[0], ONE, backup=False, disabled=False, patient=patient)
    swaps = [narrowing, [out, come]]
    text = TEXT
    for number, edits in enumerate(swaps):
        text, strange = haproxy_edits.edited(text, edits, haproxy_edits.sums(swaps[0]) if number else [])
        assert strange == []
    assert "backup" in text.split("\n")[3]
    for number in order:
        for _ in range(2):
            text = sed(text, [edit.back for edit in reversed(swaps[number])])
    assert text == TEXT


def test_of_a_line_that_somebody_else_has_changed_only_the_flag_goes() -> None:
    edit = flagged(TEXT, ONE, backup=True, disabled=False)
    theirs = haproxy_edits.edited(TEXT, [edit])[0].replace("rise 3 fall 3 backup", "rise 3 backup fall 9")
    expected = TEXT.replace("fall 3   # the first", "fall 9   # the first", 1)
    assert sed(theirs, [edit.back]) == expected


# --- reload ----------------------------------------------------------------------------------------------------------

Started = Callable[..., "subprocess.Popen[bytes]"]
# Of this run alone: one that was killed may have left its own.
FIRST, SECOND, THIRD = (f"{seconds}.{os.getpid()}" for seconds in (86401, 86402, 86403))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """A program of HAProxy's name, which sleeps as long as its argument says: that is its file here."""
    found: list[subprocess.Popen[bytes]] = []
    shutil.copy(shutil.which("sleep") or "", tmp_path / "haproxy")

    def start(source: str) -> subprocess.Popen[bytes]:
        found.append(subprocess.Popen([str(tmp_path / "haproxy"), source]))
        return found[-1]

    yield start
    for process in found:
        process.kill()
        process.wait()


def test_the_signal_finds_the_process_that_runs_now(started: Started) -> None:
    ours, other = started(FIRST), started(SECOND)
    subprocess.run(haproxy_by_hand.reload(["kill", "-USR2", "1"], FIRST), check=True)
    assert ours.wait(10) == -signal.SIGUSR2
    assert other.poll() is None


def test_another_process_takes_over_from_the_one_that_runs_now(started: Started) -> None:
    ours = started(THIRD)
    argv = ["echo", "-D", "-f", THIRD, "-x", "/run/haproxy.sock", "-sf", "12", "13"]
    done = subprocess.run(haproxy_by_hand.reload(argv, THIRD), check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["-D", "-f", THIRD, "-x", "/run/haproxy.sock", "-sf", str(ours.pid)]


def test_where_none_runs_that_is_said() -> None:
    argv = haproxy_by_hand.reload(["kill", "-USR2", "1"], "/nowhere/haproxy.cfg")
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert "no HAProxy with /nowhere/haproxy.cfg runs here" in done.stdout
