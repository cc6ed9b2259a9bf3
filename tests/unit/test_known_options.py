"""What cannot be meant is refused before anything is touched, with what to type."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import known_options, process, swap
from devswap.errors import UsageError
from devswap.known_options import Known
from devswap.tuning import Changes
from devswap.wish import Wish
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences
from tests.simulated.person import Person

SERVICE = "heat-engine"
GROUPS = {"DEFAULT": ["debug", "num_engine_workers"], "database": ["max_pool_size"], "trustee": ["auth_type"]}
FORMER = {"DEFAULT.sql_max_pool_size": "database.max_pool_size"}
KNOWN = Known(GROUPS, FORMER, whole=True)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.checkout("plain")
    found.options = {"groups": GROUPS, "former": FORMER, "several": [], "failed": []}
    with no_waiting(monkeypatch):
        yield found


@pytest.mark.parametrize("name", ["DEFAULT.debug", "DATABASE.max_pool_size", "database.max_pool_size"])
def test_an_option_that_there_is(name: str) -> None:
    assert known_options.doubtful(KNOWN, [name]) == []


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("DEFAULT.debgu", "there is no option DEFAULT.debgu", "--set DEFAULT.debug=…"),
        ("DEFAULT.max_pool_size", "there is no option", "--set database.max_pool_size=…"),
        ("database.zzz", "there is no option", "[database] has max_pool_size …"),
        ("DEFAULT.sql_max_pool_size", "is called database.max_pool_size now", "--set database.max_pool_size=…"),
    ],
)
def test_one_that_there_is_not(name: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        known_options.doubtful(KNOWN, [name])
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("known", "name"),
    [
        (None, "DEFAULT.debgu"),
        (Known({}, {}, whole=True), "DEFAULT.debgu"),
        (Known(GROUPS, {}, whole=False), "DEFAULT.debgu"),
        (KNOWN, "a_plugin.of_its_own"),
        (KNOWN, "trustee.username"),
    ],
)
def test_one_that_may_be_is_only_said(known: Known | None, name: str) -> None:
    (line,) = known_options.doubtful(known, [name])
    assert name in line


def test_it_is_refused_while_production_serves(cloud: SimulatedCloud) -> None:
    whole = cloud.take()
    wish = Wish(SERVICE, "plain", None, None, detach=True, changes=Changes(settings={"DEFAULT.debgu": "true"}))
    with pytest.raises(UsageError, match="there is no option"):
        swap.checkout(cloud.host(), wish, cloud.makers)
    assert differences(cloud, whole) == []


def test_a_run_is_refused_while_development_goes_on(cloud: SimulatedCloud) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    before = cloud.take()
    with pytest.raises(UsageError, match="there is no option"):
        swap.run(cloud.host(), SERVICE, None, detach=True, changes=Changes(settings={"DEFAULT.debgu": "1"}))
    assert [line for line in differences(cloud, before) if not line.startswith("left on the disk")] == []
    swap.run(cloud.host(), SERVICE, None, detach=True, changes=Changes(settings={"x.y": "1"}))
    assert "no list of options has x.y: it is set all the same" in cloud.said


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        (("--workers", "0"), "--workers 1"),
        (("--workers", "-1"), "--workers 1"),
        (("--break", "heat/engine/service.py:0"), "--break heat/engine/service.py:1"),
        (("--set", "a.b=1", "--unset", "a.b"), "leave --unset a.b out"),
        (("--machine", ""), "devswap list shows them"),
        (("--machine", "lxc:"), "devswap list shows them"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "checkout"])
def test_what_cannot_be_meant(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, verb: str, more: tuple[str, ...], hint: str
) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    typed = [verb, SERVICE, *(["plain"] if verb == "checkout" else []), *more, "--detach"]
    assert Person(cloud, monkeypatch).is_told(*typed, code=2).hint == hint


@pytest.mark.parametrize(
    "more", [("--listen", "10.0.0.1:5678"), ("--wait-for-client",), ("--write-launch", ".vscode", "--debugger", "pdb")]
)
def test_what_only_an_editors_debugger_has_is_refused_without_it(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    whole = cloud.take()
    with pytest.raises(UsageError, match="--wait-for-client is for debugpy, and heat-engine has pdb"):
        swap.checkout(
            cloud.host(),
            Wish(SERVICE, "plain", None, None, detach=True, changes=Changes(wait_for_client=True)),
            cloud.makers,
        )
    assert differences(cloud, whole) == []
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    told = Person(cloud, monkeypatch).is_told("run", SERVICE, "--detach", *more, code=2)
    assert told.message == f"{more[0]} is for debugpy, and heat-engine has pdb"
    assert told.hint == f"devswap checkout {SERVICE} plain --debugger debugpy"


def test_an_empty_name_does_not_restore_everything(cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    assert "empty" in Person(cloud, monkeypatch).is_told("restore", "--machine", "", code=2).message
    assert len(cloud.host().journals.all()) == 1


def test_the_lists_are_read_as_oslo_config_has_them(tmp_path: Path) -> None:
    (tmp_path / "listing.py").write_text(
        "class Option:\n"
        "    def __init__(self, name, *old):\n"
        "        self.name, self.deprecated_opts, self.multi = name, old, name == 'more'\n"
        "class Old:\n"
        "    group, name = None, 'was-this'\n"
        "class Group:\n"
        "    name = 'engine'\n"
        "print('noise')\n"
        "def opts():\n"
        "    return [(None, [Option('debug')]), (Group, [Option('is-this', Old)]), ('engine', [Option('more')])]\n"
        "def broken():\n"
        "    raise RuntimeError\n"
    )
    metadata = tmp_path / "listing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: listing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[oslo.config.opts]\na = listing:opts\nb = listing:broken\nc = nowhere:opts\n"
    )
    script = known_options._LIST
    result = process.run([sys.executable, "-c", script], env={"PYTHONPATH": str(tmp_path)})
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["groups"] == {"DEFAULT": ["debug"], "engine": ["is_this", "more"]}
    assert found["former"] == {"engine.was_this": "engine.is_this"}
    assert found["several"] == ["engine.more"]
    assert found["failed"] == ["b"]
