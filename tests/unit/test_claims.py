"""Who works on a swap: a restore waits for another, ends what the same user runs, and refuses to end another's."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from devswap import claims, production, recovery, session, several, swap, transaction
from devswap.claims import Holder
from devswap.errors import Busy, DevswapError
from devswap.host import Host
from devswap.journal import Journal
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.person import Person
from tests.simulated.snapshot import Snapshot
from tests.unit.midst import in_the_midst_of

SERVICE, MACHINE = "heat-engine", f"lxc:{images.HEAT}"
# A devswap that works on a swap until it is told to end, as a foreground run does.
RUN = """
import json, os, sys, time
from pathlib import Path
from devswap import claims
from devswap.journal import Owner
owner, path = json.loads(sys.argv[1]), Path(sys.argv[2])
holder = claims.Holder(Owner(**{**owner, "pid": os.getpid()}), "run")
with claims.claim(path, holder, busy=print):
    print("holds", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def cloud(tmp_path: Path) -> SimulatedCloud:
    found = SimulatedCloud(tmp_path)
    found.checkout("plain")
    return found


@pytest.fixture
def journal(cloud: SimulatedCloud, whole: Snapshot) -> Journal:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    (found,) = cloud.host().journals.all()
    return found


def claim_path(host: Host) -> Path:
    return host.journals.claim_path(SERVICE, MACHINE)


@pytest.fixture
def running(cloud: SimulatedCloud, journal: Journal) -> Iterator[subprocess.Popen[str]]:
    """Ada's foreground run."""
    with run_of_ada(cloud.host(), claim_path(cloud.host())) as process:
        yield process


@contextmanager
def run_of_ada(host: Host, path: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", RUN, json.dumps(vars(host.owner)), str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def test_a_restore_ends_what_the_same_user_runs(
    cloud: SimulatedCloud, whole: Snapshot, journal: Journal, running: subprocess.Popen[str]
) -> None:
    swap.restore(cloud.host(), journal)
    assert running.wait(10) != 0
    assert any("ending devswap run of ada" in line for line in cloud.said)
    assert differences(cloud, whole) == []


@pytest.mark.parametrize(
    ("ref", "apache", "told"),
    [("plian", False, "plian is no branch, tag or commit of heat"), ("plain", True, "no web server runs heat-")],
)
@pytest.mark.parametrize("services", [[SERVICE], ["heat-api", SERVICE]])
def test_a_slip_of_the_pen_ends_nobodys_run(
    cloud: SimulatedCloud,
    journal: Journal,
    running: subprocess.Popen[str],
    services: list[str],
    ref: str,
    apache: bool,  # noqa: FBT001
    told: str,
) -> None:
    assert journal.swap.service == SERVICE
    host, before = cloud.host(), cloud.take()
    wish = Wish(SERVICE, ref, None, None, detach=True, apache=apache)
    with pytest.raises(DevswapError, match=told):
        several.checkout(host, services, wish, cloud.makers)
    if services == [SERVICE]:
        with pytest.raises(DevswapError, match=told):
            swap.checkout(host, wish, cloud.makers)
    assert running.poll() is None
    assert cloud.take().digest == before.digest
    assert not any("ending devswap" in line for line in cloud.said)


def test_what_a_killed_checkout_of_somebody_else_has_left_is_theirs(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    wish, left = Wish(SERVICE, "plain", None, None, detach=True), list[Snapshot]()
    with in_the_midst_of(monkeypatch, production, "require_unchanged", lambda: left.append(cloud.take())):
        swap.checkout(cloud.host(user="ben", uid=1000), wish, cloud.makers)
    cloud.put_back(left[0])
    with pytest.raises(DevswapError, match="is swapped by ben"):
        swap.checkout(cloud.host(), wish, cloud.makers)
    assert cloud.take().digest == left[0].digest


@pytest.mark.parametrize("second_is_swapped", [True, False])
def test_nor_does_one_that_is_of_another_service_than_the_first(
    cloud: SimulatedCloud, *, second_is_swapped: bool
) -> None:
    cloud.put_front()
    host, first = cloud.host(), "heat-api-cfn"
    (cloud.folder / "overlays" / "plain" / "bin" / first).write_text("")
    for service in (first, SERVICE) if second_is_swapped else (first,):
        swap.checkout(host, Wish(service, "plain", None, None, detach=True), cloud.makers)
    wish = Wish(first, "plain", None, None, detach=True, apache=True)
    with run_of_ada(host, host.journals.claim_path(first, f"lxc:{images.HEAT_CFN}")) as process:
        with pytest.raises(DevswapError, match="no web server runs heat-engine"):
            several.checkout(host, [first, SERVICE], wish, cloud.makers)
        assert process.poll() is None
    assert not any("ending devswap" in line for line in cloud.said)


def test_another_checkout_ends_the_run_of_the_one_before(
    cloud: SimulatedCloud, whole: Snapshot, journal: Journal, running: subprocess.Popen[str]
) -> None:
    cloud.checkout("other")
    swap.checkout(cloud.host(), Wish(SERVICE, "other", None, None, detach=True), cloud.makers)
    assert running.wait(10) != 0
    swap.restore(cloud.host(), cloud.host().journals.all()[0])
    assert differences(cloud, whole) == []


def test_another_user_is_refused_until_that_is_meant(
    cloud: SimulatedCloud, whole: Snapshot, journal: Journal, running: subprocess.Popen[str]
) -> None:
    ben, before = cloud.host(user="ben", uid=1000), cloud.take()
    with pytest.raises(DevswapError, match="in the hands of ada on pts/0") as refused:
        swap.restore(ben, journal)
    assert refused.value.exit_code == 1
    assert "--take-over" in (refused.value.hint or "")
    assert running.poll() is None
    assert cloud.take().digest == before.digest
    swap.restore(ben, journal, take_over=True)
    assert running.wait(10) != 0
    assert differences(cloud, whole) == []


def test_a_second_person_is_told_who_has_it_with_what_and_since_when(cloud: SimulatedCloud) -> None:
    ada, ben = cloud.host(), cloud.host(user="ben", uid=1000)
    told = r"in the hands of ada on pts/0 \(process 4242\): devswap checkout since 2026-01-01T00:00:00"
    with (
        claims.held(ada, SERVICE, MACHINE, "checkout", take_over=False),
        pytest.raises(DevswapError, match=told),
        claims.held(ben, SERVICE, MACHINE, "run", take_over=False),
    ):
        pass


def test_who_was_killed_is_in_nobodys_way(
    cloud: SimulatedCloud, whole: Snapshot, journal: Journal, running: subprocess.Popen[str]
) -> None:
    running.kill()
    running.wait()
    swap.restore(cloud.host(user="ben", uid=1000), journal)
    assert differences(cloud, whole) == []


def test_a_restore_under_way_is_waited_for_whoever_does_it(
    cloud: SimulatedCloud, whole: Snapshot, journal: Journal
) -> None:
    """The second finds nothing left to do, and says so with no fact."""
    ada, waits = cloud.host(), threading.Event()
    ben = replace(
        cloud.host(user="ben", uid=1000),
        say=lambda text: waits.set() if text.startswith("waiting for the restore of ada") else None,
    )
    done = []
    with claims.claim(claim_path(ada), Holder(ada.owner, claims.RESTORE), busy=lambda found: None):
        second = threading.Thread(target=lambda: done.append(claimed(ben)))
        second.start()
        assert waits.wait(10)
        with ada.journals.changing():
            transaction.rollback(journal, ada.cloud(journal))
        journal.remove()
    second.join(10)
    assert done == [None]
    assert differences(cloud, whole) == []


def claimed(host: Host) -> Journal | None:
    """What a restore finds once it has the claim: signals are for the main thread alone."""
    with claims.held(host, SERVICE, MACHINE, claims.RESTORE, take_over=False):
        return host.journals.find(SERVICE, MACHINE)


def test_a_swap_that_was_given_back_meanwhile_is_restored_at_once(
    cloud: SimulatedCloud, whole: Snapshot, journal: Journal
) -> None:
    assert swap.restore(cloud.host(), journal).identical > 0
    assert swap.restore(cloud.host(), journal).facts == {}
    assert differences(cloud, whole) == []


# --- what ends nobody -------------------------------------------------------------------------------------------------


def test_a_plan_ends_no_run_and_says_what_would(
    cloud: SimulatedCloud, journal: Journal, running: subprocess.Popen[str]
) -> None:
    with pytest.raises(Busy, match="devswap run of ada on pts/0") as refused:
        swap.plan(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    assert f"kill {running.pid}" in (refused.value.hint or "")
    with pytest.raises(Busy) as refused:
        swap.plan(cloud.host(user="ben", uid=1000), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    assert refused.value.hint == "ask them"
    assert ended(running) is None


def test_what_is_given_back_after_a_restart_is_not_whose_somebody_has_taken_up_meanwhile(
    cloud: SimulatedCloud, journal: Journal, running: subprocess.Popen[str]
) -> None:
    cloud.machine(images.HEAT).boot()
    assert recovery.restore(cloud.host(), journal) == []
    assert ended(running) is None
    running.kill()
    running.wait()
    assert [restored.service for restored in recovery.restore(cloud.host(), journal)] == [SERVICE]


@pytest.mark.parametrize(
    "line", [("exec", SERVICE, "--", "true"), ("edit", SERVICE, "heat.conf"), ("plan", SERVICE, "plain")]
)
def test_a_command_without_the_option_does_not_name_it(
    cloud: SimulatedCloud, journal: Journal, monkeypatch: pytest.MonkeyPatch, line: tuple[str, ...]
) -> None:
    person = Person(cloud, monkeypatch)
    monkeypatch.setattr(session, "open_host", lambda **chosen: cloud.host(user="ben", uid=1000))
    told = person.is_told(*line, code=1)
    assert "is swapped by ada" in told.message
    assert told.hint == "ask them"
    assert "--take-over" in (person.is_told("run", SERVICE, "--detach", code=1).hint or "")


def ended(process: subprocess.Popen[str]) -> int | None:
    """Its code, if a signal was sent to it: that is on its way by now."""
    pending = Path(f"/proc/{process.pid}/status").read_text().split("ShdPnd:")[1].split()[0]
    return process.poll() if int(pending, 16) == 0 else -1


# --- who the lock is of -----------------------------------------------------------------------------------------------


class Locked:
    """A lock on the claim that is not its holder's; `time.sleep` tells when it is let go, or told whose it is."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, *, told: str = "") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        self._path, self._told, self._sleeps = path, told, 0
        monkeypatch.setattr("time.sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self._sleeps += 1
        if self._sleeps == 3 and self._told:
            self._path.write_text(self._told)
        elif self._sleeps == 3:
            os.close(self.descriptor)


def named(pid: int, began: str) -> str:
    owner = {"user": "ada", "uid": 0, "host": "aio1", "terminal": "pts/0", "pid": pid}
    return json.dumps({"owner": owner, "doing": "run", "began": began})


def test_who_only_looks_is_not_taken_for_the_last_holder(
    cloud: SimulatedCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, met = tmp_path / "claims" / "x", list[Holder]()
    Locked(path, monkeypatch)
    path.write_text(named(os.getpid(), "1"))
    with claims.claim(path, Holder(cloud.host().owner, "run"), busy=met.append):
        pass
    assert met == []


def test_a_holder_that_has_not_said_yet_who_it_is_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "claims" / "x"
    began = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    locked = Locked(path, monkeypatch, told=named(os.getpid(), began))
    found = claims.holder(path)
    assert found is not None
    assert (found.doing, found.owner.pid) == ("run", os.getpid())
    os.close(locked.descriptor)
    assert claims.holder(path) is None


def test_a_claim_that_is_over_names_nobody(cloud: SimulatedCloud, tmp_path: Path) -> None:
    path = tmp_path / "claims" / "x"
    with claims.claim(path, Holder(cloud.host().owner, "run"), busy=print):
        assert "ada" in path.read_text()
    assert path.read_text().strip() == ""


def test_a_full_disk_has_room_for_the_name_of_a_later_holder(
    cloud: SimulatedCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be written over in its place; only what makes a file larger finds no room."""
    path, ada, write = tmp_path / "claims" / "x", cloud.host().owner, os.pwrite

    def pwrite(descriptor: int, content: bytes, offset: int) -> int:
        if offset + len(content) > os.fstat(descriptor).st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, content, offset)

    with claims.claim(path, Holder(ada, "checkout"), busy=print):
        pass
    monkeypatch.setattr(os, "pwrite", pwrite)
    with claims.claim(path, Holder(replace(ada, user="ben"), "run"), busy=print):
        found = claims.holder(path)
        assert found is not None
        assert (found.owner.user, found.doing) == ("ben", "run")
    assert path.read_text().strip() == ""


def test_whoever_was_quicker_is_told_to_end_as_well(
    cloud: SimulatedCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first holder ends, and before we have its claim a second one has."""
    path, met = tmp_path / "claims" / "x", list[str]()
    locked = Locked(path, monkeypatch, told=named(os.getpid(), "2"))
    path.write_text(named(os.getpid(), "1"))

    def busy(found: Holder) -> None:
        met.append(found.began)
        if found.began == "2":
            os.close(locked.descriptor)

    monkeypatch.setattr(claims, "_try_for_a_while", lambda *_: False)
    with claims.claim(path, Holder(cloud.host().owner, "run"), busy=busy):
        pass
    assert met == ["1", "2"]


def test_one_that_was_stopped_ends_too(
    cloud: SimulatedCloud, whole: Snapshot, journal: Journal, running: subprocess.Popen[str]
) -> None:
    """As Ctrl-Z does it."""
    running.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, running.pid, os.WSTOPPED)
    swap.restore(cloud.host(), journal)
    assert running.wait(10) != 0
    assert differences(cloud, whole) == []


def test_another_process_of_the_same_number_gets_no_signal(
    cloud: SimulatedCloud, running: subprocess.Popen[str]
) -> None:
    found = claims.holder(claim_path(cloud.host()))
    assert found is not None
    claims.end(replace(found, began=str(int(found.began) - 1)))
    claims.end(replace(found, began=""))
    assert ended(running) is None
    claims.end(found)
    assert running.wait(10) != 0
