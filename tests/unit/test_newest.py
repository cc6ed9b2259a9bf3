"""Whether there is a newer patchset: asked once an hour, told from what is noted."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from devswap import newest, newest_asked
from devswap.errors import DevswapError
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
