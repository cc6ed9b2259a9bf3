"""Whether there is a newer patchset: asked once an hour, told from what is noted."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import newest, newest_asked, outcome, status, swap
from devswap.errors import DevswapError
from devswap.gerrit import Review
from devswap.source import Checkout, Remotes
from devswap.wish import Makers, Wish
from tests.simulated.cloud import SimulatedCloud
from tests.unit import examples
from tests.unit.gerrit import Gerrit
from tests.unit.served import Developer, Server, Upstream


def review(**changes: Any) -> dict[str, Any]:
    facts = {
        "project": "heat",
        "change": 123,
        "patchset": 2,
        "newest": 2,
        "owner": None,
        "branch": "master",
        "status": None,
        "url": "git://127.0.0.1:9/heat",
        "rest": None,
    }
    return {**facts, **changes}


def test_what_is_noted_is_told(tmp_path: Path) -> None:
    mine = review()
    assert newest.told(newest.known(tmp_path, mine)) == "change 123, patchset 2 for master"
    newest.note(tmp_path, review(newest=3, status="MERGED"))
    assert newest.told(newest.known(tmp_path, review(owner="Ada"))) == (
        "change 123, patchset 2 by Ada for master, merged; a newer patchset exists: 3"
    )
    library = {"review": review(change=124, newest=4)}
    found = newest.newer(tmp_path, examples.swap(review=mine, libraries=[library, {"review": None}]))
    assert found == [
        "a newer patchset of change 123 exists: 3, this is 2",
        "a newer patchset of change 124 exists: 4, this is 2",
    ]
    assert newest.newer(tmp_path, examples.swap()) == []


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    newest.note(tmp_path, review(newest=3))
    (path,) = (tmp_path / "newest").iterdir()
    path.write_text(content)
    assert newest.known(tmp_path, review())["newest"] == 2


def test_asking_waits_for_nobody_and_happens_once_an_hour(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mine = review(url=f"git://127.0.0.1:{silent.getsockname()[1]}/heat")
        noon, asked = 1_800_000_000.0, []
        for passed in (0.0, 10.0, 3599.0, 3601.0, 0.0):
            newest.ask(tmp_path, mine, now=lambda passed=passed: noon + passed)  # type: ignore[misc]
            (path,) = (tmp_path / "newest").iterdir()
            asked.append(newest.read(path)["asked"] - noon)
    assert asked == [0.0, 0.0, 0.0, 3601.0, 0.0], "a clock that was put back does not silence it"


def test_an_address_that_may_hold_a_password_is_not_known_and_not_asked(tmp_path: Path) -> None:
    newest.ask(tmp_path, review(url=None))
    assert not (tmp_path / "newest").exists()


def test_the_newest_patchset_is_asked_of_git(developer: Developer, heat: Upstream, server: Server) -> None:
    for patchset in (9, 10):
        heat.patchset(123, patchset, **{"engine.py": f"{patchset}\n"})
    assert newest_asked.ask(developer.home, "heat", 123, heat.url, "") == {"newest": 10}
    assert list(developer.mirrors.iterdir()) == []
    server.stop()
    with pytest.raises(DevswapError):
        newest_asked.ask(developer.home, "heat", 123, heat.url, "")
    assert list(developer.mirrors.iterdir()) == []


def test_a_gerrit_that_answers_is_asked_first(developer: Developer, heat: Upstream) -> None:
    with Gerrit() as gerrit:
        gerrit.add(123, "openstack/heat", patchset=7, status="ABANDONED")
        found = newest_asked.ask(developer.home, "heat", 123, "git://127.0.0.1:9/heat", gerrit.url)
        assert found == {"newest": 7, "status": "ABANDONED"}
        gerrit.answers = False
        assert newest_asked.ask(developer.home, "heat", 123, heat.url, gerrit.url) == {"newest": 2}


def of_change(cloud: SimulatedCloud) -> Makers:
    """The checkouts of a simulated cloud, as if they were the second patchset of a change."""

    def fetch(project: str, ref: str, **_: object) -> Checkout:
        return replace(
            cloud.makers.fetch(project, ref),
            change=123,
            patchset=2,
            newest=2,
            remotes=Remotes("git://127.0.0.1:9/heat", "git://127.0.0.1:9/heat"),
            review=Review(123, "openstack/heat", "master", "A change", "Ada", "NEW", 2),
        )

    return Makers(fetch, cloud.makers.build)


def test_plan_status_and_run_tell_of_the_change_and_its_newest_patchset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("one")
    host, makers = cloud.host(), of_change(cloud)
    wish = Wish("heat-engine", "one", None, None, detach=True)
    outcome.show_plan(swap.plan(host, wish, makers), as_json=False)
    assert "  change 123, patchset 2 by Ada for master, new\n" in capsys.readouterr().out
    swap.checkout(host, wish, makers)
    (journal,) = host.journals.all()
    told = status.of(host, journal).review
    assert told is not None
    assert (told["owner"], told["newer_patchset"]) == ("Ada", False)
    assert journal.swap.review is not None
    newest.note(host.state, {**journal.swap.review, "newest": 3, "status": "MERGED"})
    told = status.of(host, journal).review
    assert told is not None
    assert (told["newest"], told["status"], told["newer_patchset"]) == (3, "MERGED", True)
    cloud.said.clear()
    swap.run(host, "heat-engine", None, detach=True)
    assert "a newer patchset of change 123 exists: 3, this is 2" in cloud.said
    swap.restore(host, journal)
