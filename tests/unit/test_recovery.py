"""The unit that restores after a restart of the host: what it says, and when it is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import claims, doctor, narrowing, recovery, rotation, swap
from devswap.claims import Holder
from devswap.errors import DevswapError
from devswap.recovery import Recovery
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.person import Person

SERVICE = "heat-engine"
STATE = Path("/var/lib/devswap")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system with a systemd that has booted."""
    for folder in ("etc/systemd/system", "run/systemd/system"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.checkout("migrates", revisions=("a1", "b2"))
    with no_waiting(monkeypatch):
        yield found


def found_by_doctor(where: Recovery) -> doctor.Finding:
    return next(finding for finding in doctor.examine(where) if "restart" in finding.what or UNIT in finding.what)


UNIT = recovery.UNIT


def test_the_unit_says_which_devswap_restores_what_in_systemds_own_quoting(root: Path) -> None:
    text = Recovery(root, python="/opt/my $venv/bin/python").text(Path("/var/lib/100% mine"))
    assert 'ExecStart="/opt/my $$venv/bin/python" "-P" "-m" "devswap.cli" "restore" "--after-restart"' in text
    assert 'Environment="DEVSWAP_STATE_DIR=/var/lib/100%% mine"' in text
    assert 'RequiresMountsFor="/var/lib/100%% mine"' in text
    assert "ConditionPathExistsGlob=/var/lib/100%% mine/swaps/*/journal.json" in text


def test_doctor_names_it_where_it_is_installed_and_where_it_is_not(root: Path) -> None:
    where = Recovery(root)
    assert found_by_doctor(where).mend == "devswap doctor --install-recovery"
    assert found_by_doctor(where).fine
    where.path.write_text(where.text(STATE))
    assert str(STATE) in found_by_doctor(where).what
    assert found_by_doctor(where).mend == ""
    where.path.write_text(Recovery(root, python="/gone/python").text(STATE))
    assert not found_by_doctor(where).fine
    assert found_by_doctor(where).mend == "devswap doctor --install-recovery"


def test_without_systemd_it_is_said_what_to_do_instead(root: Path) -> None:
    (root / "run/systemd/system").rmdir()
    where = Recovery(root)
    with pytest.raises(DevswapError, match="not systemd") as caught:
        where.install(STATE)
    assert "devswap restore" in (caught.value.hint or "")
    assert found_by_doctor(where).fine
    assert not where.path.exists()
    where.path.write_text("what an earlier boot with systemd left")
    where.remove()
    where.remove()
    assert not where.path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_a_devswap_that_others_can_write_is_not_run_as_root_at_each_boot(root: Path, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    os.chown(code, 12345, 12345)
    with pytest.raises(DevswapError, match=f"others than root can write {code}"):
        Recovery(root, code=code).install(STATE)
    assert not Recovery(root).path.exists()


def test_what_a_restart_interrupted_is_restored_and_what_runs_is_left_alone(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, person = cloud.host(), Person(cloud, monkeypatch)
    swap.checkout(host, Wish(SERVICE, "migrates", None, None, detach=True), cloud.makers)
    person.types("devswap restore --after-restart")
    (journal,) = host.journals.all()
    cloud.machine(images.HEAT).boot()
    path = host.journals.claim_path(SERVICE, journal.swap.machine)
    with claims.claim(path, Holder(host.owner, "run"), busy=lambda found: None):
        assert not recovery.is_interrupted(host, journal), "somebody is taking it over again"
    person.types("devswap restore --after-restart")
    assert host.journals.all() == []


def test_a_machine_that_is_not_up_yet_is_tried_again_later(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "migrates", None, None, detach=True), cloud.makers)
    cloud.machine(images.HEAT).halt()
    person = Person(cloud, monkeypatch)
    assert "lxc-start" in (person.is_told("restore", "--after-restart").hint or "")
    cloud.machine(images.HEAT).boot()
    person.types("devswap restore --after-restart")
    assert cloud.host().journals.all() == []


def test_what_apache_runs_is_left_alone_until_a_restart_has_ended_it(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.with_keystone()
    wish = Wish("keystone", "migrates", None, None, detach=True, apache=True)
    swap.checkout(cloud.host(), wish, cloud.makers)
    person = Person(cloud, monkeypatch)
    person.types("devswap restore --after-restart")
    assert [journal.swap.service for journal in cloud.host().journals.all()] == ["keystone"]
    cloud.machine(images.KEYSTONE).boot()
    person.types("devswap restore --after-restart")
    assert cloud.host().journals.all() == []


def test_a_narrowing_outlives_a_restart_but_not_one_that_is_half_made(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.balance()
    monkeypatch.setattr(rotation, "ANSWER_SECONDS", 0.0)
    narrowing.narrow(cloud.host(), "heat-api", to=images.HEAT, exclusive=False)
    cloud.machine(images.HAPROXY).boot()
    person = Person(cloud, monkeypatch)
    person.types("devswap restore --after-restart")
    (journal,) = cloud.host().journals.all()
    journal.describe(mode="preparing")
    person.types("devswap restore --after-restart")
    assert cloud.host().journals.all() == []


def test_what_is_taken_up_again_while_others_are_restored_is_left_alone(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "migrates", None, None, detach=True), cloud.makers)
    monkeypatch.setattr(recovery, "is_interrupted", lambda host, journal: True)  # as it was a minute ago
    Person(cloud, monkeypatch).types("devswap restore --after-restart")
    assert [journal.swap.service for journal in cloud.host().journals.all()] == [SERVICE]
