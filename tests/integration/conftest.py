"""A real cloud for each era, people who work on it, and a look at production before and after each test."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from devswap import sandbox
from devswap.backed_machine import BackedMachine
from devswap.errors import DevswapError
from devswap.sandbox.additions import ADDITIONS
from devswap.sandbox.changes import HARMLESS
from tests.containers import require_lxc
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud
from tests.integration.people import Desk, Person
from tests.integration.small import NAME, Site, small_production
from tests.integration.through_haproxy import Seen, UnderLoad, address, load, told

ERAS = ("current", "2015")
CI = "CI" in os.environ


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of a cloud runs on each era, unless it is marked with those it is about."""
    if "cloud" not in metafunc.fixturenames:
        return
    about = metafunc.definition.get_closest_marker("eras")
    metafunc.parametrize("cloud", about.args if about else ERAS, indirect=True, scope="session")


@pytest.fixture(scope="session")
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """The sandbox of an era, up and swept of what an aborted run left; nothing of devswap is in it at the end."""
    require_lxc()
    era, there = request.param, clouds.find(request.param) is not None
    additions = [name for name in request.config.getoption("--with") if era in ADDITIONS[name].venvs]
    try:
        sandbox.up(era=era, additions=additions, say=lambda line: print(line, file=sys.stderr))
    except DevswapError as error:
        if CI:
            raise
        pytest.skip(f"there is no sandbox of {era}: {error.message.splitlines()[0][:200]}")
    except KeyboardInterrupt:
        if CI and not there:
            sandbox.down(era=era, say=lambda line: print(line, file=sys.stderr))
        raise
    found = clouds.find(era)
    assert found is not None
    _sweep(found)
    found.wait_for_production()
    before = found.look()
    yield found
    stays = there or not CI or request.config.getoption("--keep-sandbox")
    if stays:
        found.delete_stacks()
    assert clouds.differences(before, found.look()) == []
    _assert_nothing_is_left(found)
    if not stays:
        sandbox.down(era=era, say=lambda line: print(line, file=sys.stderr))


def _sweep(found: Cloud) -> None:
    desk = Desk(found, Person("root"))
    state = desk.environment().get("DEVSWAP_STATE_DIR", "/var/lib/devswap")
    for folder in Path(state).glob("swaps/*@lxc:*"):
        service, _, container = folder.name.partition("@lxc:")
        if container in found.containers:
            print(f"restoring what an aborted run left: {folder}", file=sys.stderr)
            desk.devswap("restore", service, "--machine", container, "--take-over")


def _assert_nothing_is_left(found: Cloud) -> None:
    assert found.sh("find /run/devswap /run/systemd/system -name '*devswap*' 2>/dev/null || true") == ""
    assert found.sh("systemctl list-units --all --plain --no-legend 'devswap*'") == ""
    assert clouds.host_mounts() == []
    running = subprocess.run(["pgrep", "-af", f"lxc-attach.*{found.heat}"], capture_output=True, text=True, check=False)
    assert running.stdout == ""


@pytest.fixture(scope="session")
def people() -> Iterator[tuple[Person, Person]]:
    """Two people with accounts on this host."""
    _sweep_accounts()
    names = tuple(f"swap-{name}-{os.getpid()}" for name in ("ada", "ben"))
    for name in names:
        clouds.wait_until(partial(_add, name), f"useradd {name}", seconds=180)
    ada, ben = (Person(name) for name in names)
    ada.run("git", "config", "--global", "user.name", "Ada")
    ada.run("git", "config", "--global", "user.email", "ada@example.org")
    yield ada, ben
    for name in names:
        subprocess.run(["userdel", "--force", "--remove", name], capture_output=True, check=False)


def _add(name: str) -> bool:
    """False while another run holds the lock of /etc/passwd (useradd(8): 1): one that removes a large home, say."""
    line = ["useradd", "--create-home", "--shell", "/bin/bash", name]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1), ended.stderr
    return ended.returncode == 0


def _sweep_accounts() -> None:
    """Remove those of runs that were aborted."""
    for entry in pwd.getpwall():
        pid = entry.pw_name.rpartition("-")[2]
        if entry.pw_name.startswith(("swap-ada-", "swap-ben-")) and not Path("/proc", pid).exists():
            subprocess.run(["userdel", "--force", "--remove", entry.pw_name], capture_output=True, check=False)


@pytest.fixture
def desk(cloud: Cloud, people: tuple[Person, Person]) -> Desk:
    return Desk(cloud, people[0])


@pytest.fixture
def under_load(cloud: Cloud, report: Callable[[str], None]) -> UnderLoad:
    """See through_haproxy.py."""

    @contextmanager
    def during(move: str) -> Iterator[Seen]:
        with load(f"http://{address(cloud)}:5000/v3") as seen:
            yield seen
        report(told(cloud, move, seen))
        assert seen["failures"] == [], move

    return during


@pytest.fixture
def neighbour(cloud: Cloud, people: tuple[Person, Person]) -> Desk:
    """Somebody else on the same cloud."""
    return Desk(cloud, people[1])


@pytest.fixture(scope="module")
def taken(cloud: Cloud, people: tuple[Person, Person]) -> Iterator[Desk]:
    """The desk of somebody who has taken heat-engine over with the harmless change, for all tests of a module."""
    desk, before = Desk(cloud, people[0]), cloud.look()
    desk.take(HARMLESS)
    yield desk
    desk.restore("--machine", cloud.heat)
    assert clouds.differences(before, cloud.look()) == []


@pytest.fixture
def whole(cloud: Cloud, desk: Desk) -> Iterator[None]:
    """Production is the same after a test as before it, whatever the test did; what it left swapped is restored."""
    before = cloud.look()
    yield
    left = desk.devswap("status", "--json").stdout
    ours = [swap for swap in clouds.swaps(left) if swap["machine"] == f"lxc:{cloud.heat}"]
    if ours:
        desk.restore("--machine", cloud.heat, "--take-over")
    assert clouds.differences(before, cloud.look()) == []


@pytest.fixture(scope="session")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BackedMachine, str]]:
    with small_production(NAME, tmp_path_factory.mktemp("stage")) as made:
        yield made


@pytest.fixture
def site(production: tuple[BackedMachine, str], tmp_path: Path) -> Iterator[Site]:
    machine, python = production
    yield Site(machine, python, tmp_path, [])
    assert machine.mounted("/run/devswap") == []
    assert machine.names("/run/devswap/demo-engine") == []
