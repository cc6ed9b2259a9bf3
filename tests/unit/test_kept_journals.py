"""Journals of every released format, kept as they were written: this devswap gives back what they hold.

Each file is the state folder of one day: journals and shared captures, by path. They are never changed; a new format
gets new files.
"""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from devswap import database_parts, fingerprint, swap, systemd
from devswap import journal as journals
from devswap.journal import Journal
from devswap.shared import Record, Shelf
from devswap.steps.database import SyncDatabase
from devswap.steps.step import from_json
from tests.simulated import images, nova
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.person import Person, commands

KEPT = sorted((Path(__file__).parent / "journals").glob("v*.json"))
OF_FILES = ("file ", "unit file ", "packages in ", "haproxy file ")
ORDERS = [(path, order) for path in KEPT for order in permutations(range(path.read_text().count('"since"')))]


def put_on_disk(cloud: SimulatedCloud, kept: Path) -> list[Journal]:
    """The state folder as that devswap left it. What the simulation's own files hash to is taken from them."""
    for name, content in json.loads(kept.read_text().replace("@FOLDER@", str(cloud.folder))).items():
        if "swap" in content:
            noted = content["swap"]["fingerprint"]
            watched = fingerprint.watched_from_json({**content["swap"]["watched"], "database": None, "probe": None})
            now = fingerprint.take(watched, cloud.at)
            noted.update({fact: now[fact] for fact in noted if fact.startswith(OF_FILES)})
        path = cloud.state / name
        journals.make_private(path.parent)
        path.write_text(json.dumps(content, indent=1))
    return cloud.host().journals.all()


def wish(ref: str) -> Any:
    from devswap.wish import Wish

    return Wish("heat-engine", ref, None, None, detach=True)


def take_over(cloud: SimulatedCloud, found: list[Journal]) -> None:
    """The machines as that devswap left them: its steps are done, its dumps taken."""
    shelf = Shelf(cloud.state / "shared")
    done: set[str] = set()
    for journal in found:
        here = cloud.host().cloud(journal)
        for entry in journal.entries:
            step = from_json(entry.step)
            if isinstance(step, SyncDatabase):
                record = shelf.find(str(step.shared))
                assert isinstance(record, Record)
                if record.name in done:
                    continue
                done.add(record.name)
                sources = [step.source, *(part.source for part in step.others)]
                for each in database_parts.saved(sources, record.captured, shelf.vault(record.name)):
                    each.source.open(cloud.at).dump(each.dump)
            step.do(here)
            if step.runs:  # what follows is for what answers
                systemd.start(cloud.at(journal.swap.machine), journal.swap.unit)


@pytest.mark.parametrize(("kept", "order"), ORDERS, ids=lambda value: getattr(value, "stem", str(value)))
def test_it_is_given_back(cloud: SimulatedCloud, kept: Path, order: tuple[int, ...]) -> None:
    if "databases" in kept.stem:
        nova.add(cloud)
        nova.checkout(cloud, "newer", api=("p1", "p2"), main=("n1", "n2"))
    if "traffic" in kept.stem:
        cloud.balance()
        cloud.add_peer()
    before = cloud.take()
    found = put_on_disk(cloud, kept)
    assert len(found) == len(order)
    take_over(cloud, found)
    assert len(differences(cloud, before)) > len(found)
    for number in order:
        restored = swap.restore(cloud.host(), found[number])
        assert restored.changed_by_others == []
        assert restored.identical == len(restored.facts) > 0
    assert differences(cloud, before) == []


@pytest.mark.parametrize("version", range(1, journals.VERSION + 1))
def test_each_format_there_was_is_kept(version: int) -> None:
    for scene in ("foreground", "detached", "shared", "traffic"):
        kept = json.loads((KEPT[0].parent / f"v{version}-{scene}.json").read_text())
        assert {content["version"] for content in kept.values() if "swap" in content} == {version}


def test_one_of_a_newer_devswap_is_refused_and_its_way_out_is_named(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    swap.checkout(cloud.host(), wish("migrates"), cloud.makers)
    (path,) = cloud.state.glob("swaps/*/journal.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": journals.VERSION + 1, "swap": "otherwise"}))
    before = cloud.take()
    told = Person(cloud, monkeypatch).is_told("restore")
    assert f"version {journals.VERSION + 1}" in told.message
    assert f"sh {path.with_name('restore.sh')}" in commands(told.hint)
    assert cloud.take().digest == before.digest
    assert cloud.machine(images.HEAT).init.is_active("heat-engine.service")
