"""Exit 3: production is not whole. What is printed then lets a person finish, which is shown by typing it.

TABLE has every place that says so; the tests are those named there. What was begun by hand on a real cloud, restore.sh
with a database, is in tests/integration/test_meanwhile.py.
"""

from __future__ import annotations

import ast
import errno
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import devswap
from devswap import development, swap, systemd
from devswap.database import Database
from devswap.errors import CommandFailed, DevswapError
from devswap.machine import Machine
from devswap.process import Result
from devswap.wish import Wish
from tests.simulated import disk, images, nova
from tests.simulated.calls import Fault, Kind
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.person import Person, commands
from tests.simulated.snapshot import Snapshot
from tests.unit.test_claims import RUN

SERVICE, UNIT = "heat-engine", "heat-engine.service"
# (module, the beginning of what it says as it stands there): the test that does what it says
TABLE = {
    ("journal", "cannot read {path}: it is of version"): "test_a_journal_that_cannot_be_read",
    ("journal", "cannot read {path}: {error}"): "test_a_journal_that_cannot_be_read",
    ("journal", "{self.swap.service} has"): "tests/unit/test_journal.py: a fault of ours, which nobody sees",
    ("kept_terminal", "the devswap on that terminal was killed"): "tests/unit/test_kept_terminal.py",
    ("outcome", "{service} ended by itself"): "test_a_foreground_run_that_ends_by_itself",
    ("outcome", "{', '.join(died)} ended without Ctrl-C"): "test_foreground_runs_that_end_by_themselves",
    ("proof", "{swap.service} is back, but not as it was"): "test_production_that_does_not_run_any_more",
    ("claims", "error.message"): "test_a_run_that_does_not_end",
    ("coming_back", "interrupted; the service is still swapped"): "test_a_run_that_is_interrupted",
    ("coming_back", "error.message"): "test_a_run_in_a_stopped_machine",
    ("coming_back", "{type(error).__name__}"): "test_a_run_that_meets_a_broken_disk",
    ("transaction", "{journal.swap.service} is back, but not all"): "test_a_neighbour_that_does_not_start",
    ("transaction", "the swap of {service} is not complete"): "test_a_swap_that_is_half_made",
    ("transaction", "cannot note in"): "test_a_full_disk; test_a_disk_that_can_only_be_read_any_more",
    (
        "transaction",
        "cannot give {journal.swap.service} back to the end",
    ): "test_a_database_that_cannot_be_compared; test_a_disk_that_can_only_be_read",
    (
        "transaction",
        "cannot {step.describe()[1]} in {step.on}: {error}",
    ): "test_an_undo_that_fails; test_values_that_cannot_be_put_back; tests/unit/test_kept.py",
    ("transaction", "cannot {step.describe()[1]} in {step.on}: {error!r}"): "test_a_fault_of_ours",
    ("way", "{swap.service} was given back, but not all"): "test_what_is_given_back_but_for_haproxy_stays_so",
}


def test_every_place_that_says_so_is_in_the_table() -> None:
    found = set()
    for path in Path(devswap.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.exc if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) else None
            if called is not None and ast.unparse(called.func) == "NotWhole":
                found.add((path.stem, ast.unparse(called.args[0]).removeprefix("f").strip("'\"")))
    unknown = {one for one in found if not any(one[0] == key[0] and one[1].startswith(key[1]) for key in TABLE)}
    gone = {key for key in TABLE if not any(one[0] == key[0] and one[1].startswith(key[1]) for one in found)}
    assert (unknown, gone) == (set(), set())


def take_over(cloud: SimulatedCloud, ref: str) -> Path:
    """The folder of its journal."""
    swap.checkout(cloud.host(), Wish(SERVICE, ref, None, None, detach=True), cloud.makers)
    (journal,) = cloud.host().journals.all()
    return journal.folder


def first_write(cloud: SimulatedCloud, person: Person) -> int:
    """The number of the call with which a run begins to change something."""
    cloud.calls.begin()
    person.types(f"devswap run {SERVICE} --detach")
    return next(number for number, name in enumerate(cloud.calls.names) if name.startswith("file write"))


@pytest.mark.parametrize("content", ["", "{", '{"version": 99}', '{"version": 1, "swap": {}}'])
def test_a_journal_that_cannot_be_read(cloud: SimulatedCloud, whole: Snapshot, person: Person, content: str) -> None:
    folder = take_over(cloud, "plain")
    (folder / "journal.json").write_text(content)
    by_hand = commands(person.is_told("restore").hint)[-1]
    person.types(by_hand)
    assert_back(cloud, whole)
    (forget,) = [line for line in (folder / "restore.sh").read_text().splitlines() if line.startswith("# rm -r ")]
    assert shlex.split(forget)[-1] == str(folder)


def test_a_journal_that_the_disk_does_not_give_back(
    cloud: SimulatedCloud, whole: Snapshot, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the way of no other swap's restore."""
    folder = take_over(cloud, "plain")
    swap.checkout(cloud.host(), Wish("heat-api", "migrates", None, None, detach=True), cloud.makers)
    real = Path.read_text

    def read_text(path: Path, *arguments: Any, **options: Any) -> str:
        if path == folder / "journal.json":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", read_text)
    told = person.is_told("restore")
    assert "Input/output error" in told.message
    assert person.is_told("status").message == told.message
    assert cloud.host().journals.all() == []
    person.types(commands(told.hint)[-1])
    assert_back(cloud, whole)


def test_a_foreground_run_that_ends_by_itself(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    take_over(cloud, "plain")
    cloud.ends_by_itself = True
    _, back = commands(person.is_told("run", SERVICE).hint)
    person.types(back)
    assert differences(cloud, whole) == []


def test_production_that_does_not_run_any_more(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    take_over(cloud, "migrates")
    files, path = cloud.machine(images.HEAT).files, f"{images.VENV}/bin/heat-engine"
    script = files.read(path) or b""
    files.remove(path)
    told = person.is_told("restore")
    assert "unit state: was active, is failed" in told.message
    start, again = commands(told.hint)
    assert person.is_told("restore").message == told.message
    files.write(path, script)
    cloud.machine(images.HEAT).run(["systemctl", "reset-failed", "--", UNIT])
    person.types(start)
    person.types(again)
    assert differences(cloud, whole) == []


def test_foreground_runs_that_end_by_themselves(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    for service in ("heat-api", SERVICE):
        swap.checkout(cloud.host(), Wish(service, "plain", None, None, detach=True), cloud.makers)
    cloud.ends_by_itself = True
    again, back = commands(person.is_told("run", "heat-api", SERVICE).hint)
    person.is_told(*again.split()[1:])
    person.types(back)
    assert_back(cloud, whole)


def test_a_run_that_is_interrupted(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    take_over(cloud, "migrates")
    cloud.calls.begin(Fault(first_write(cloud, person), Kind.CTRL_C))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    told = person.is_told("run", SERVICE, "--detach")
    signal.signal(signal.SIGINT, before)
    cloud.calls.begin()
    assert "interrupted" in told.message
    again, back = commands(told.hint)
    person.types(f"{again} --detach")
    assert cloud.machine(images.HEAT).init.unit(UNIT).argv[0].startswith("/run/devswap")
    person.types(back)
    assert differences(cloud, whole) == []


def test_a_run_in_a_stopped_machine(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    take_over(cloud, "migrates")
    cloud.machine(images.HEAT).halt()
    start, again, back = commands(person.is_told("run", SERVICE, "--detach").hint)
    person.types(start)
    person.types(f"{again} --detach")
    person.types(back)
    assert differences(cloud, whole) == []


def test_a_run_that_meets_a_broken_disk(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    take_over(cloud, "migrates")
    cloud.calls.begin(Fault(first_write(cloud, person), Kind.RAISES))
    told = person.is_told("run", SERVICE, "--detach")
    cloud.calls.begin()
    assert "Input/output error" in told.message
    person.types(commands(told.hint)[-1])
    assert differences(cloud, whole) == []


def test_a_neighbour_that_does_not_start(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    take_over(cloud, "migrates")
    unit, machine = "heat-api-cfn.service", cloud.machine(images.HEAT_CFN)
    text = machine.read_text(f"/etc/systemd/system/{unit}") or ""
    (vault,) = cloud.state.glob("shared/*")
    (vault / "stopped-for-the-load.json").write_text(json.dumps([(machine.address, unit)]))
    machine.run(["systemctl", "stop", "--", unit])
    machine.remove(f"/etc/systemd/system/{unit}")
    machine.run(["systemctl", "daemon-reload"])
    told = person.is_told("restore")
    assert cloud.machine(images.HEAT).init.is_active(UNIT), "the swapped service comes back all the same"
    machine.write_text(f"/etc/systemd/system/{unit}", text)
    start = told.message.rpartition("then: ")[2]
    person.types(start)
    person.types(commands(told.hint)[0])
    assert differences(cloud, whole) == []


def test_a_swap_that_is_half_made(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    folder = take_over(cloud, "migrates")
    read = json.loads((folder / "journal.json").read_text())
    (folder / "journal.json").write_text(json.dumps({**read, "entries": read["entries"][:-1]}))
    (back,) = commands(person.is_told("run", SERVICE, "--detach").hint)
    person.types(back)
    assert differences(cloud, whole) == []


def test_a_full_disk(cloud: SimulatedCloud, whole: Snapshot, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    take_over(cloud, "plain")
    start = cloud.take()
    with disk.watched(monkeypatch, cloud.state, cloud.calls):
        cloud.calls.begin()
        person.types("devswap restore")
        changes = [number for number, name in enumerate(cloud.calls.names) if name == "disk replace .journal.json.new"]
        cloud.put_back(start)
        cloud.calls.begin(Fault(changes[1], Kind.RAISES))
        told = person.is_told("restore")
    assert "No space left" in told.message
    assert cloud.machine(images.HEAT).init.is_active(UNIT), "production runs all the same"
    (again,) = commands(told.hint)
    person.types(again)
    assert differences(cloud, whole) == []


def test_a_disk_that_can_only_be_read(
    cloud: SimulatedCloud, whole: Snapshot, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel leaves a file system that it has found errors in (ext4(5), errors=remount-ro)."""
    take_over(cloud, "plain")
    with monkeypatch.context() as now:
        now.setattr(os, "open", disk.read_only(cloud.state))
        told = person.is_told("restore")
    assert "Read-only file system" in told.message
    (again,) = commands(told.hint)
    person.types(again)
    assert differences(cloud, whole) == []


def test_a_disk_that_can_only_be_read_any_more(
    cloud: SimulatedCloud, whole: Snapshot, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has turned so while production came back, which it does all the same."""
    take_over(cloud, "plain")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as now:
        now.setattr(os, "replace", refuse)
        told = person.is_told("restore")
    assert "Read-only file system" in told.message
    assert "make room" not in (told.hint or "")
    assert cloud.machine(images.HEAT).init.unit(UNIT).argv[0].startswith(images.VENV)
    (again,) = commands(told.hint)
    person.types(again)
    assert differences(cloud, whole) == []


def test_a_run_that_does_not_end(
    cloud: SimulatedCloud, whole: Snapshot, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over(cloud, "plain")
    path = cloud.host().journals.claim_path(SERVICE, f"lxc:{images.HEAT}")
    stuck = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{RUN}"
    argv = [sys.executable, "-c", stuck, json.dumps(vars(cloud.host().owner)), str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "holds\n"
        hours = itertools.count()
        try:
            with monkeypatch.context() as now:
                now.setattr(time, "monotonic", lambda: float(next(hours)))
                told = person.is_told("restore", SERVICE)
        finally:
            run.kill()
        assert commands(told.hint) == [f"kill -9 {run.pid}"]
    person.types(f"devswap restore {SERVICE}")
    assert differences(cloud, whole) == []


def balanced(cloud: SimulatedCloud) -> Snapshot:
    """Production as it was, with heat-api taken over behind a HAProxy that is stopped then."""
    cloud.balance()
    before = cloud.take()
    swap.checkout(cloud.host(), Wish("heat-api", "plain", None, None, detach=True), cloud.makers)
    cloud.machine(images.HAPROXY).halt()
    return before


def test_a_haproxy_that_is_stopped(cloud: SimulatedCloud, person: Person) -> None:
    before = balanced(cloud)
    start, again, *_ = commands(person.is_told("restore").hint)
    assert cloud.machine(images.HEAT).init.unit("heat-api.service").argv[0] == images.UWSGI, "production runs"
    person.types(start)
    person.types(again)
    assert differences(cloud, before) == []


@pytest.mark.parametrize("line", ["devswap run heat-api --detach", "devswap checkout heat-api plain --detach"])
def test_what_is_given_back_but_for_haproxy_stays_so(cloud: SimulatedCloud, person: Person, line: str) -> None:
    before = balanced(cloud)
    person.is_told("restore")
    (again,) = commands(person.is_told(*line.split()[1:]).hint)
    assert cloud.machine(images.HEAT).init.unit("heat-api.service").argv[0] == images.UWSGI, "production runs"
    cloud.machine(images.HAPROXY).boot()
    person.types(again)
    assert differences(cloud, before) == []


def test_a_swap_goes_on_whose_restore_found_its_machine_stopped(
    cloud: SimulatedCloud, whole: Snapshot, person: Person
) -> None:
    take_over(cloud, "migrates")
    cloud.machine(images.HEAT).halt()
    start, *_ = commands(person.is_told("restore").hint)
    assert start in (person.is_told("run", SERVICE, "--detach").hint or "")
    person.types(start)
    person.types(f"devswap run {SERVICE} --detach")
    person.types("devswap restore")
    assert differences(cloud, whole) == []


def test_a_haproxy_that_is_back_a_moment_too_late(cloud: SimulatedCloud, person: Person) -> None:
    before = balanced(cloud)

    def it_starts(what: str) -> None:
        if "systemctl start" in what and not cloud.machine(images.HAPROXY).is_running():
            cloud.machine(images.HAPROXY).boot()

    cloud.calls.begin(instant=it_starts)
    told = person.is_told("restore")
    cloud.calls.begin()
    person.types(commands(told.hint)[1])
    assert differences(cloud, before) == []


def test_a_database_that_cannot_be_compared(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    take_over(cloud, "plain")
    cloud.machine(images.GALERA).halt()
    start, again = commands(person.is_told("restore").hint)
    person.types(start)
    person.types(again)
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("what", ["its machine", "the database's machine"])
def test_an_undo_that_fails(cloud: SimulatedCloud, whole: Snapshot, person: Person, what: str) -> None:
    take_over(cloud, "migrates")
    cloud.machine(images.HEAT if what == "its machine" else images.GALERA).halt()
    start, again, *_ = commands(person.is_told("restore").hint)
    person.types(start)
    person.types(again)
    assert differences(cloud, whole) == []


def reads_no_files(machine: Machine) -> None:
    """In the place of systemd.reload: its /run is full."""
    refused = Result(("systemctl", "daemon-reload"), 1, "", "not enough space available on /run/systemd\n")
    raise CommandFailed("cannot run systemctl", result=refused)


def test_a_checkout_that_systemd_reads_no_files_for_is_taken_back(
    cloud: SimulatedCloud, whole: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which needs none read either: systemd has never seen the drop-in."""
    with monkeypatch.context() as now:
        now.setattr(systemd, "reload", reads_no_files)
        with pytest.raises(CommandFailed, match="cannot run systemctl"):
            take_over(cloud, "plain")
    assert cloud.host().journals.all() == []
    assert differences(cloud, whole) == []


def test_a_systemd_that_reads_no_files_again_is_found_out_before_development_is_stopped(
    cloud: SimulatedCloud, whole: Snapshot, person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_over(cloud, "plain")
    with monkeypatch.context() as now:
        now.setattr(systemd, "reload", reads_no_files)
        told = person.is_told("restore")
    assert "does not read its files again: not enough space available on /run/systemd" in told.message
    assert cloud.machine(images.HEAT).init.unit(UNIT).argv[0].startswith("/run/devswap/")
    look, again, *_ = commands(told.hint)
    assert look == f"lxc-attach -n {images.HEAT} -- df -h /run"
    person.types(again)
    assert differences(cloud, whole) == []


def test_an_undo_that_fails_for_good_can_be_left(cloud: SimulatedCloud, person: Person) -> None:
    """The database's machine was destroyed."""
    take_over(cloud, "migrates")
    del cloud.world.machines[images.GALERA]
    told = person.is_told("restore")
    assert images.GALERA in told.message
    (leave,) = [line for line in commands(told.hint) if "--skip" in line]
    person.types(leave)
    assert cloud.machine(images.HEAT).init.unit(UNIT).argv[0].startswith(images.VENV)
    assert cloud.host().journals.all() == []


def test_values_that_cannot_be_put_back(cloud: SimulatedCloud, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    nova.add(cloud)
    nova.checkout(cloud, "newer")
    swap.checkout(cloud.host(), Wish(nova.CONDUCTOR, "newer", None, None, detach=True), cloud.makers)
    query = Database.query

    def read_only(self: Database, sql: str) -> list[list[str]]:
        if sql.startswith("UPDATE"):
            raise DevswapError("ERROR 1290 (HY000): the server is read-only")
        return query(self, sql)

    with monkeypatch.context() as now:
        now.setattr(Database, "query", read_only)
        hint = person.is_told("restore").hint
        again, leave = commands(hint)
        assert "--skip put-back-values" in leave
        person.is_told(*again.split()[1:])
        with pytest.raises(DevswapError):  # beside the newer ones it does not start
            person.types(leave)
    (script,) = (cloud.state / "saved").glob("*.sh")
    assert "UPDATE `services`" in script.read_text()


def test_a_fault_of_ours(cloud: SimulatedCloud, whole: Snapshot, person: Person) -> None:
    folder = take_over(cloud, "plain")
    text = (folder / "journal.json").read_text()
    (folder / "journal.json").write_text(text.replace('"active": true', '"actve": true'))
    told = person.is_told("restore")
    assert "KeyError" in told.message
    by_hand = commands(told.hint)[-1]
    person.types(by_hand)
    assert_back(cloud, whole)


def test_a_swap_that_was_forgotten_by_hand_is_forgotten_as_a_whole(cloud: SimulatedCloud) -> None:
    """Else the next one would take the capture of the last for its own, and load a dump of old."""
    folder = take_over(cloud, "migrates")
    script = (folder / "restore.sh").read_text()
    forget = [Path(line.removeprefix("# rm -r ").strip("'")) for line in script.splitlines() if "# rm -r " in line]
    assert forget == [folder, *cloud.state.glob("shared/*")]
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    machine = cloud.machine(images.HEAT)
    machine.boot()
    with pytest.raises(devswap.errors.DevswapError, match="is left of an earlier swap") as caught:
        take_over(cloud, "plain")
    assert f"rm -r {forget[1]}" in (caught.value.hint or "")


def assert_back(cloud: SimulatedCloud, whole: Snapshot) -> None:
    """Production is; the journal is not closed, and nothing but empty folders in /run is left of the swap."""
    left = [line for line in differences(cloud, whole) if not line.startswith("left on the disk")]
    assert [line for line in left if not line.endswith("is folder")] == []
    assert not cloud.machine(images.HEAT).exists(development.path(UNIT))
