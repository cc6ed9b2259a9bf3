"""Depends-On footers become libraries: real repositories behind a real git server, and a Gerrit that answers REST."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from devswap.errors import DevswapError
from devswap.libraries import Wanted
from devswap.source import Remotes
from devswap.with_depends import Depends
from tests.unit.gerrit import Gerrit
from tests.unit.served import Developer, Server, Upstream, git

REVIEW = "https://review.example.org"
LOG_ID = "I1111111111111111111111111111111111111111"
USED = {"oslo-db", "oslo-log", "oslo-utils", "openstack-heat"}


@dataclass
class Desk:
    developer: Developer
    server: Server
    rest: str | None = None
    said: list[str] = field(default_factory=list)

    def wanted(self, ref: str, given: Sequence[Wanted] = ()) -> list[Wanted]:
        home = self.developer.home
        base = f"git://127.0.0.1:{self.server.port}"

        def remotes(project: str) -> Remotes:
            url = f"{base}/{project.rpartition('/')[2]}"
            return Remotes(url, url, self.rest)

        depends = Depends(remotes, home, self.developer.mirrors, self.said.append)
        return depends.wanted(self.developer(ref), given=given, used=USED)

    def has_said(self, pattern: str) -> bool:
        return any(re.search(pattern, line) for line in self.said)


@pytest.fixture
def desk(developer: Developer, server: Server) -> Desk:
    return Desk(developer, server)


def library(server: Server, name: str) -> Upstream:
    upstream = server.repository(name)
    upstream.commit("First", **{"setup.cfg": f"[metadata]\nname = {name}\n"})
    upstream.push("master")
    return upstream


def test_libraries_of_several_repositories_are_found_and_what_is_no_library_is_said(
    desk: Desk, heat: Upstream, server: Server
) -> None:
    db, utils, nova = (library(server, name) for name in ("oslo.db", "oslo.utils", "nova"))
    db.propose(456, f"Needs more\n\nDepends-On: {REVIEW}/c/openstack/oslo.utils/+/789/")
    utils.propose(789, "A change")
    nova.propose(500, "A change")
    merged = db.propose(457, "Merged")
    git(db.work, "merge", "--quiet", "--no-ff", "-m", "Merge", merged)
    db.push("master")
    footers = [
        f"Depends-On: {REVIEW}/c/openstack/oslo.db/+/456",
        f"Depends-On: {REVIEW}/c/openstack/nova/+/500",
        f"Depends-On: {REVIEW}/c/openstack/oslo.db/+/457",
        f"Depends-On: {REVIEW}/c/openstack/heat/+/123",
    ]
    heat.propose(130, "Below\n\n" + "\n".join(footers), base=git(heat.bare, "rev-parse", "refs/changes/23/123/2"))
    heat.propose(131, "On top of it", base=git(heat.bare, "rev-parse", "refs/changes/30/130/1"))
    assert desk.wanted("review/131") == [
        Wanted("oslo.db", "review/456", "openstack/oslo.db"),
        Wanted("oslo.utils", "review/789", "openstack/oslo.utils"),
    ]
    assert desk.has_said("heat 131 depends on oslo.db 457, which master has already: skipped")
    assert desk.has_said("depends on nova 500, which this service has no package of")
    assert desk.has_said("heat 131 depends on heat 123, which is in its history")
    given = [Wanted("oslo.db", "~/src/oslo.db")]
    assert [each.name for each in desk.wanted("review/131", given)] == ["oslo.utils"]
    assert desk.has_said("depends on oslo.db 456: --with says otherwise")


def test_a_change_of_the_same_project_beside_it_and_a_circle_are_refused(
    desk: Desk, heat: Upstream, server: Server
) -> None:
    heat.propose(140, f"Beside\n\nDepends-On: {REVIEW}/c/openstack/heat/+/123")
    with pytest.raises(DevswapError, match="heat 140 depends on heat 123, which is not in the history of heat 140"):
        desk.wanted("review/140")
    heat.propose(141, f"Round\n\nDepends-On: {REVIEW}/c/openstack/oslo.db/+/456")
    library(server, "oslo.db").propose(456, f"And round\n\nDepends-On: {REVIEW}/c/openstack/heat/+/141")
    with pytest.raises(DevswapError, match=r"heat 141 → oslo\.db 456 → heat 141"):
        desk.wanted("review/141")


def test_gerrit_is_asked_whose_change_a_footer_means(desk: Desk, heat: Upstream, server: Server) -> None:
    library(server, "oslo.db").propose(456, "A change")
    library(server, "oslo.log").propose(789, f"Another\n\nChange-Id: {LOG_ID}")
    heat.propose(150, f"Short\n\nDepends-On: {REVIEW}/456\nDepends-On: {LOG_ID}")
    with pytest.raises(DevswapError, match="nobody says which project that is") as caught:
        desk.wanted("review/150")
    assert "gerrit_url" in (caught.value.hint or "")
    with Gerrit() as gerrit:
        desk.rest = gerrit.url
        gerrit.add(456, "openstack/oslo.db")
        gerrit.add(789, "openstack/oslo.log", change_id=LOG_ID)
        gerrit.add(790, "openstack/oslo.log", change_id=LOG_ID, status="ABANDONED")
        assert [each.ref for each in desk.wanted("review/150")] == ["review/456", "review/789"]


def test_a_footer_that_names_no_change_is_refused(desk: Desk, heat: Upstream) -> None:
    heat.propose(160, "Wrong\n\nDepends-On: something")
    with pytest.raises(DevswapError, match="heat 160 depends on something, which is no change"):
        desk.wanted("review/160")


def test_a_pull_request_of_a_fork_is_a_dependency_too(desk: Desk, heat: Upstream, server: Server) -> None:
    fork = library(server, "oslo.db")
    git(fork.work, "commit", "--quiet", "--allow-empty", "-m", "Pulled")
    fork.push("master:refs/pull/3/head")
    address = "https://git.example.org/me/"
    home = desk.developer.home
    desk.developer.write(home.home / ".gitconfig", f'[url "git://127.0.0.1:{server.port}/"]\ninsteadOf = {address}\n')
    heat.propose(170, f"Fork\n\nDepends-On: {address}oslo.db/pull/3")
    assert desk.wanted("review/170") == [Wanted("oslo.db", f"{address}oslo.db/pull/3", "oslo.db")]
