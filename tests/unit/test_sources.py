"""All that a service is run from: the project's checkout and those of libraries, from real repositories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devswap import libraries, newest, source
from devswap.discovery import units
from devswap.host import Host
from devswap.overlay import Overlay
from devswap.settings import Settings
from devswap.sources import Sources, gather
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.unit.gerrit import Gerrit
from tests.unit.served import Developer, Server, Upstream, git


class Desk:
    """Somebody who takes heat-engine over on a simulated cloud, with sources from a real git server."""

    def __init__(self, folder: Path, developer: Developer, server: Server) -> None:
        cloud = SimulatedCloud(folder)
        base = f"git://127.0.0.1:{server.port}"
        settings = Settings(state_dir=cloud.state, branches_url=base, changes_url=base)
        self.host: Host = replace(cloud.host(), settings=settings, home=lambda: developer.home)
        (found,) = units.find([self.host.catalogue().get("heat-engine")], [cloud.machine(images.HEAT)])
        self.deployment = units.examine(found)
        self.said = cloud.said

    def gather(self, ref: str, *given: str, with_depends: bool = False) -> Sources:
        wanted = [libraries.parse(text) for text in given]
        return gather(
            self.host,
            self.deployment,
            ref,
            remote=None,
            wanted=wanted,
            with_depends=with_depends,
            fetch=source.prepare,
        )


@pytest.fixture
def desk(tmp_path: Path, developer: Developer, heat: Upstream, server: Server) -> Desk:
    del heat
    (tmp_path / "cloud").mkdir()
    return Desk(tmp_path / "cloud", developer, server)


def library(server: Server, repository: str, name: str) -> Upstream:
    upstream = server.repository(repository)
    upstream.commit("First", **{"setup.cfg": f"[metadata]\nname = {name}\n"})
    upstream.push("master")
    return upstream


def test_libraries_come_from_changes_forks_and_trees_of_the_users_own(
    desk: Desk, developer: Developer, server: Server
) -> None:
    library(server, "oslo.db", "oslo.db").propose(456, "A change", **{"new.py": ""})
    fork = library(server, "forked", "oslo-log")
    own = developer.home.home / "src" / "utils"
    address = library(server, "oslo.utils", "oslo.utils").url
    git(developer.home.home, "clone", "--quiet", address, str(own), home=developer.home)
    developer.write(own / "edited.py", "")
    found = desk.gather("review/123", "oslo.db=review/456", f"oslo.log={fork.url}@master", str(own))
    assert found.checkout.change == 123
    assert [each.distribution for each in found.libraries] == ["oslo.db", "oslo-log", "oslo.utils"]
    db, log, utils = (each.checkout for each in found.libraries)
    assert (db.path, db.subject) == (developer.home.folder / "checkouts/oslo.db/review~456", "A change")
    assert (log.path.parent.name, utils.path, utils.own_tree) == ("oslo.log", own, True)
    assert {path.lstat().st_uid for path in developer.home.home.rglob("*")} == {developer.home.uid}


def test_what_is_in_no_commit_of_a_library_counts_as_an_edit(desk: Desk, developer: Developer, server: Server) -> None:
    tree = developer.home.home / "oslo.db"
    address = library(server, "oslo.db", "oslo.db").url
    git(developer.home.home, "clone", "--quiet", address, str(tree), home=developer.home)
    clean = desk.gather("2.0.0", str(tree))
    assert not clean.dirty
    developer.write(tree / "setup.cfg", "[metadata]\nname = oslo.db\n\n")
    assert desk.gather("2.0.0", str(tree)).dirty
    git(tree, "commit", "--quiet", "--all", "-m", "Mine", home=developer.home)
    assert desk.gather("2.0.0", str(tree)).identity != clean.identity


def test_a_swap_says_what_gerrit_says_and_where_to_ask_again(desk: Desk, server: Server) -> None:
    library(server, "oslo.db", "oslo.db").propose(456, "A change")
    with Gerrit() as gerrit:
        gerrit.add(123, "openstack/heat", patchset=2)
        desk.host = replace(desk.host, settings=replace(desk.host.settings, gerrit_url=gerrit.url))
        found = desk.gather("review/123/1", "oslo.db=review/456")
    told = found.described(Overlay(Path("/"), "key", (), {}, {"oslo-db": ["oslo_db"]}))
    assert told["review"] | {"url": "", "rest": ""} == {
        "project": "heat",
        "change": 123,
        "patchset": 1,
        "newest": 2,
        "owner": "Ada",
        "branch": "master",
        "status": "NEW",
        "url": "",
        "rest": "",
    }
    (library_told,) = told["libraries"]
    assert (library_told["name"], library_told["packages"], library_told["review"]["change"]) == (
        "oslo.db",
        ["oslo_db"],
        456,
    )
    assert newest.told(told["review"]) == ("change 123, patchset 1 by Ada for master, new; a newer patchset exists: 2")
    assert "change 123 by Ada for master, new: Change 123" in desk.said


def test_an_address_with_a_password_is_in_no_journal(desk: Desk, heat: Upstream) -> None:
    address = heat.url.replace("git://", "git://ada:geheim@")
    settings = replace(desk.host.settings, changes_url=address.removesuffix("/heat"))
    desk.host = replace(desk.host, settings=settings)
    found = replace(source.Remotes(heat.url, address))
    checkout = replace(desk.gather("master").checkout, change=1, remotes=found, ref=f"{address}@master")
    assert "geheim" not in repr(Sources(checkout).described(Overlay(Path("/"), "key", (), {})))


def test_the_libraries_that_a_change_depends_on_are_found(desk: Desk, heat: Upstream, server: Server) -> None:
    library(server, "oslo.db", "oslo.db").propose(456, "A change")
    heat.propose(
        180,
        "Needs it\n\nDepends-On: https://review.example.org/c/openstack/oslo.db/+/456",
        **{"requirements.txt": "oslo.db>=1 # Apache-2.0\n"},
    )
    found = desk.gather("review/180", with_depends=True)
    assert [(each.distribution, each.checkout.change) for each in found.libraries] == [("oslo.db", 456)]
    assert desk.gather("review/180").libraries == ()
