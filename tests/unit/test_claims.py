"""Who works on a swap: a restore waits for another, ends what the same user runs, and refuses to end another's."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devswap import claims, swap, transaction
from devswap.claims import Holder
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.journal import Journal
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, Snapshot
from tests.simulated.comparison import differences

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
    host = cloud.host()
    argv = [sys.executable, "-c", RUN, json.dumps(vars(host.owner)), str(claim_path(host))]
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
