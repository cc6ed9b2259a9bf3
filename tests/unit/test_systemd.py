"""Settings of a unit are read and lent as systemd means them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from devswap import remembered, systemd, unit_environment
from devswap.errors import CommandTimeout
from devswap.process import Result
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.machine import SimulatedMachine

UNIT = "heat-engine.service"
LENT = "/run/devswap/heat-engine/environment-x"


@pytest.fixture
def machine(tmp_path: Path) -> SimulatedMachine:
    found = SimulatedCloud(tmp_path).machine(images.HEAT)
    images.put(found.files, "/etc/default/heat", '# no=setting\nA=\'it is\'\nB="tell \\"nobody\\" of \\$5"\nC=plain\n')
    text = '[Service]\nEnvironment="OWN=of \\$5 and \\\\ \\"signs\\""\nEnvironmentFile=/etc/default/heat\n'
    found.write_text(f"/etc/systemd/system/{UNIT}.d/override.conf", text)
    systemd.reload(found)
    return found


@pytest.mark.parametrize("mercy", [None, 60.0])
def test_what_does_not_stop_in_time_is_waited_for_or_killed(
    machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch, mercy: float | None
) -> None:
    """Production has the time that its own unit gives it, however long that is; development has what is said."""
    usual, asked = machine.run, list[tuple[tuple[str, ...], float | None]]()

    def run(argv: Sequence[str], *, timeout: float | None = None, **options: Any) -> Result:
        if argv[1] == "show":
            return usual(argv, timeout=timeout, **options)
        asked.append((tuple(argv[:-2]), timeout))
        if timeout is not None and timeout < 60:
            raise CommandTimeout("late", result=Result(tuple(argv), 124, "", ""))
        return usual(argv, timeout=timeout, **options)

    monkeypatch.setattr(machine, "run", run)
    systemd.stop(machine, UNIT, mercy=mercy)
    late, others = (
        [one for one in asked if one[1] and one[1] < 60],
        [one for one in asked if not one[1] or one[1] >= 60],
    )
    assert sum(timeout or 0 for _, timeout in late) == (mercy or 120.0)
    assert [words for words, _ in others] == [
        *([("systemctl", "kill", "--signal=KILL")] if mercy else []),
        ("systemctl", "stop"),
    ]
    assert (others[-1][1] or 0) > 300
    assert not systemd.state(machine, UNIT).is_active


@pytest.mark.parametrize(("unit", "reminded"), [("heat-api.service", True), (UNIT, False)])
def test_uwsgi_alone_is_told_again_to_end(
    machine: SimulatedMachine, monkeypatch: pytest.MonkeyPatch, unit: str, *, reminded: bool
) -> None:
    usual, asked = machine.run, list[tuple[str, ...]]()

    def run(argv: Sequence[str], *, timeout: float | None = None, **options: Any) -> Result:
        asked.append(tuple(argv))
        if asked.count(tuple(argv)) == 1 and argv[1] == "stop":
            raise CommandTimeout("late", result=Result(tuple(argv), 124, "", ""))
        return usual(argv, timeout=timeout, **options)

    monkeypatch.setattr(machine, "run", run)
    systemd.stop(machine, unit)
    assert (("systemctl", "kill", "--signal=TERM", "--", unit) in asked) == reminded
    assert not systemd.state(machine, unit).is_active


def test_quoted_values_lose_their_quotes_alone(machine: SimulatedMachine) -> None:
    found = unit_environment.of(machine, UNIT)
    assert (found["A"], found["B"], found["C"]) == ("it is", 'tell "nobody" of $5', "plain")
    assert found["OWN"] == 'of $5 and \\ "signs"'
    assert "# no" not in found


def test_an_environment_file_may_have_spaces_around_its_signs_and_escapes_without_quotes(
    machine: SimulatedMachine,
) -> None:
    images.put(machine.files, "/etc/default/heat", "A = 1\n\tB =\t'x y' \nC=s\\$cret\\\\1\n")
    found = unit_environment.of(machine, UNIT)
    assert (found["A"], found["B"], found["C"]) == ("1", "x y", "s$cret\\1")


def test_what_is_lent_is_roots_alone_and_is_taken_back(machine: SimulatedMachine) -> None:
    with unit_environment.lent(machine, UNIT, LENT) as files:
        assert files == [LENT, "/etc/default/heat"]
        assert machine.read_text(LENT) == 'OWN="of \\$5 and \\\\ \\"signs\\""\n'
    assert not machine.exists(LENT)


def test_a_shell_in_a_unit_has_its_dollar_signs(machine: SimulatedMachine) -> None:
    """systemd-run itself would take them for variables of its own."""
    line = systemd.unit_argv("x.service", ["sh", "-c", "kill -TERM $$"])
    assert machine.run(line, ok=(143,)).code == 143
    for word in ("${i}", "$HOME", "$$", "5 $"):
        assert machine.run(systemd.unit_argv("x.service", ["echo", word])).stdout == f"{word}\n"


class Restarting:
    """A machine in which somebody restarts the unit: it is stopping, has stopped, starts, runs."""

    def __init__(self, *states: tuple[str, str]) -> None:
        self.states = list(states)

    def run(self, argv: Sequence[str], **options: Any) -> Result:
        active, job = self.states[0]
        self.states[:] = self.states[1:] or self.states
        lines = f"LoadState=loaded\nActiveState={active}\nSubState=x\nUnitFileState=enabled\nMainPID=0\n"
        return Result(tuple(argv), 0, f"{lines}ExecMainStatus=0\nJob={job}\n", "")


@pytest.mark.parametrize(
    ("states", "at_last"),
    [
        ([("deactivating", "7"), ("inactive", "7"), ("activating", "7"), ("active", "0")], "active"),
        ([("deactivating", "8"), ("inactive", "")], "inactive"),
        ([("active", "")], "active"),
        ([("activating", "0")] * 3, "activating"),
    ],
)
def test_a_state_is_told_once_nobody_is_changing_it(
    states: list[tuple[str, str]], at_last: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 30))
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    machine: Any = Restarting(*states)
    assert systemd.settled(machine, UNIT, seconds=200).active == at_last


class Asked:
    """Every question it gets, and the same answers each time but for a number that counts them."""

    address = "lxc:asked"

    def __init__(self) -> None:
        self.questions: list[str] = []

    def run(self, argv: Sequence[str], **options: Any) -> Result:
        self.questions.append(argv[2])
        lines = [f"{name}={len(self.questions)}" for name in argv[2].partition("=")[2].split(",")]
        return Result(tuple(argv), 0, "\n".join(lines) + "\n", "")


def test_how_a_unit_is_set_up_is_asked_once_while_it_is_looked_at_and_its_state_each_time() -> None:
    machine: Any = Asked()
    with remembered.while_looking():
        assert systemd.show(machine, UNIT, "Type") == systemd.show(machine, UNIT, "Type")
        assert systemd.show(machine, UNIT, "User", "ExecStart") == {"User": "1", "ExecStart": "1"}
        assert systemd.show(machine, "other.service", "User") == {"User": "2"}
        assert systemd.show(machine, UNIT, "ActiveState") == {"ActiveState": "3"}
        assert systemd.show(machine, UNIT, "ActiveState") == {"ActiveState": "4"}
        with remembered.at_this_instant():
            assert systemd.show(machine, UNIT, "User") == {"User": "5"}
        assert systemd.show(machine, UNIT, "User") == {"User": "1"}
    assert systemd.show(machine, UNIT, "User") == {"User": "6"}
