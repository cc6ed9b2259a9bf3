"""What somebody else has made of a file that a swap changed is never written over; the user says what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import devswap
from devswap import development, swap, systemd
from devswap.errors import DevswapError, NotWhole
from devswap.steps.database import SyncDatabase
from devswap.steps.step import Kept, Step
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.person import Person, commands
from tests.simulated.snapshot import Snapshot

SERVICE, UNIT = "heat-engine", "heat-engine.service"
DROP_IN = development.path(UNIT)


def take_over(cloud: SimulatedCloud, ref: str) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, ref, None, None, detach=True), cloud.makers)


def edit_drop_in(cloud: SimulatedCloud, more: str) -> str:
    """As a person does with an editor and daemon-reload."""
    machine = cloud.machine(images.HEAT)
    text = (machine.read_text(DROP_IN) or "") + more
    machine.write_text(DROP_IN, text)
    systemd.reload(machine)
    return text


def test_an_edited_drop_in_stays_and_the_restore_stops_there(cloud: SimulatedCloud, person: Person) -> None:
    take_over(cloud, "plain")
    edited = edit_drop_in(cloud, "Environment=MINE=1\n")
    for _ in range(2):
        told = person.is_told("restore")
        assert f"{DROP_IN} was changed by somebody else" in told.message
        assert cloud.machine(images.HEAT).read_text(DROP_IN) == edited


def test_moved_away_as_the_hint_says_production_comes_back(
    cloud: SimulatedCloud, whole: Snapshot, person: Person
) -> None:
    take_over(cloud, "migrates")
    edited = edit_drop_in(cloud, "Environment=MINE=1\n")
    move, again = commands(person.is_told("restore").hint)
    person.types(move)
    person.types(again)
    machine = cloud.machine(images.HEAT)
    assert machine.read_text("/root/zz-devswap.conf") == edited
    machine.remove("/root/zz-devswap.conf")
    assert differences(cloud, whole) == []


def test_kept_as_the_hint_says_production_runs_with_it(cloud: SimulatedCloud, person: Person) -> None:
    take_over(cloud, "plain")
    machine = cloud.machine(images.HEAT)
    theirs = f"[Service]\nExecStart=\nExecStart={images.VENV}/bin/heat-engine --debug\n"
    machine.write_text(DROP_IN, theirs)
    keep, *_ = commands(person.is_told("restore").hint)
    person.types(keep)
    assert machine.read_text(DROP_IN) == theirs
    assert machine.init.is_active(UNIT)
    assert machine.init.unit(UNIT).argv[-1] == "--debug"
    assert cloud.host().journals.all() == []


def test_one_that_was_kept_refuses_the_next_checkout_before_anything_is_touched(
    cloud: SimulatedCloud, person: Person, whole: Snapshot
) -> None:
    take_over(cloud, "plain")
    cloud.machine(images.HEAT).write_text(DROP_IN, "[Service]\nEnvironment=MINE=1\n")
    person.types(commands(person.is_told("restore").hint)[0])
    before = cloud.take()
    cloud.calls.begin()
    with pytest.raises(DevswapError, match="that no swap knows of") as caught:
        take_over(cloud, "plain")
    assert [name for name in cloud.calls.names if name.startswith(("file write", "file mount"))] == []
    assert [line for line in differences(cloud, before) if not line.startswith("left on the disk")] == []
    for line in commands(caught.value.hint):
        person.types(line)
    take_over(cloud, "plain")
    person.types("devswap restore")
    cloud.machine(images.HEAT).remove("/root/zz-devswap.conf")
    assert differences(cloud, whole) == []


def test_one_that_would_not_let_production_start_is_said_to(cloud: SimulatedCloud, person: Person) -> None:
    take_over(cloud, "plain")
    edit_drop_in(cloud, "Environment=MINE=1\n")
    told = person.is_told("restore", "--keep-theirs", DROP_IN)
    assert "production cannot run with what is in it" in told.message
    assert "--keep-theirs" not in (told.hint or "")
    person.types(f"lxc-attach -n {images.HEAT} -- mv {DROP_IN} /root/")
    person.types("devswap restore heat-engine")
    assert cloud.machine(images.HEAT).init.is_active(UNIT)


def test_a_file_that_devswap_did_not_change_cannot_be_kept_from_it(cloud: SimulatedCloud, person: Person) -> None:
    take_over(cloud, "plain")
    told = person.is_told("restore", "--keep-theirs", "/etc/heat/heat.conf", code=2)
    assert f"lxc:{images.HEAT}:{DROP_IN}" in (told.hint or "")


def test_what_is_not_swapped_is_restored_at_once_and_what_nobody_knows_is_not(
    cloud: SimulatedCloud, whole: Snapshot, person: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    person.types("devswap restore heat-engine")
    assert "heat-engine is not swapped" in capsys.readouterr().out
    take_over(cloud, "plain")
    swapped = cloud.take()
    person.types("devswap restore heat-api --json")
    assert '"restored": []' in capsys.readouterr().out
    assert "did you mean heat-engine" in (person.is_told("restore", "heat-engin", code=2).hint or "")
    assert cloud.take().digest == swapped.digest
    person.types("devswap restore heat-api heat-engine")
    assert "heat-api is not swapped" in capsys.readouterr().out
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("again", ["checkout", "run"])
def test_an_edited_drop_in_is_not_written_over_by_another_start(cloud: SimulatedCloud, again: str) -> None:
    take_over(cloud, "plain")
    edited = edit_drop_in(cloud, "Environment=MINE=1\n")
    before = cloud.take()
    starts: dict[str, Callable[[], object]] = {
        "run": lambda: swap.run(cloud.host(), SERVICE, None, detach=True),
        "checkout": lambda: take_over(cloud, "migrates"),
    }
    with pytest.raises(DevswapError, match="was changed by somebody else") as caught:
        starts[again]()
    assert caught.value.exit_code == (3 if again == "run" else 1)
    assert cloud.machine(images.HEAT).read_text(DROP_IN) == edited
    assert [line for line in differences(cloud, before) if not line.startswith("left on the disk")] == []


def test_a_drop_in_knows_whether_it_was_edited() -> None:
    command = development.Command(("/bin/true",), {"A": "1\nb"}, simple=True)
    text = development.drop_in(SERVICE, command, terminal="/dev/pts/1")
    assert development.is_as_written(text)
    for edited in ("", "\n", text + "\n", text.replace("/bin/true", "/bin/false"), text.partition("\n")[2]):
        assert not development.is_as_written(edited)


def test_what_is_left_as_it_is_need_not_be_reached(cloud: SimulatedCloud) -> None:
    """The database is gone; its swap is given up with it."""
    take_over(cloud, "migrates")
    host = cloud.host()
    cloud.world.servers.clear()
    (journal,) = host.journals.all()
    with pytest.raises(NotWhole, match="Can't connect"):
        swap.restore(host, journal)
    restored = swap.restore(host, journal, kept=Kept(kinds=frozenset({SyncDatabase.kind})))
    assert restored.changed_by_others == []
    assert cloud.machine(images.HEAT).init.is_active(UNIT)
    assert host.journals.all() == []
    assert list(cloud.state.glob("saved/before-*"))


def test_development_is_stopped_though_its_drop_in_was_taken_away(cloud: SimulatedCloud, whole: Snapshot) -> None:
    take_over(cloud, "migrates")
    machine = cloud.machine(images.HEAT)
    machine.remove(DROP_IN)
    systemd.reload(machine)
    assert machine.init.unit(UNIT).argv[0].startswith("/run/devswap/")
    (journal,) = cloud.host().journals.all()
    swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("questions", [1, 25])
def test_production_that_is_only_starting_is_waited_for(cloud: SimulatedCloud, whole: Snapshot, questions: int) -> None:
    """Its machine was restarted, and a checkout that had not come to production's stop was killed before."""
    left: list[Snapshot] = []

    def instant(what: str) -> None:
        if not left and "file mount" in what:
            left.append(cloud.take())

    cloud.calls.begin(instant=instant)
    take_over(cloud, "plain")
    cloud.put_back(left[0])
    cloud.machine(images.HEAT).boot()
    cloud.starting = questions
    (journal,) = cloud.host().journals.all()
    assert journal.swap.mode == "preparing"
    swap.restore(cloud.host(), journal)
    assert differences(cloud, whole) == []


def test_a_unit_that_a_playbook_changed_meanwhile_runs_as_it_is_now(cloud: SimulatedCloud) -> None:
    take_over(cloud, "plain")
    machine, path = cloud.machine(images.HEAT), f"/etc/systemd/system/{UNIT}"
    machine.write_text(path, (machine.read_text(path) or "").replace("bin/heat-engine", "bin/heat-engine --verbose"))
    systemd.reload(machine)
    (journal,) = cloud.host().journals.all()
    restored = swap.restore(cloud.host(), journal)
    assert [line.partition(": ")[0] for line in restored.changed_by_others] == [f"unit file {path}", "unit command"]
    assert machine.init.unit(UNIT).argv[-1] == "--verbose"


def test_all_that_can_be_skipped_is_in_the_promise() -> None:
    text = (Path(devswap.__file__).parents[1] / "docs/safety.md").read_text()
    (told,) = re.findall(r"`restore --skip ([^`]*)`", text)
    assert told.split("|") == sorted(kind for kind, step in Step.known.items() if step.facts)
