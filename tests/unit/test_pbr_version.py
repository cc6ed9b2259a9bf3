"""The version of a checkout is the one that pbr would give it."""

from __future__ import annotations

import pytest

from devswap.invoker import UserHome
from devswap.source import Remotes
from tests.unit.served import Developer, Server, Upstream, git

VERSIONS: dict[str, tuple[list[tuple[str, ...]], str]] = {
    "a tag": ([("one", "1.2.3")], "1.2.3"),
    "commits after a tag": ([("one", "1.2.3"), ("two",), ("three",)], "1.2.4.dev2"),
    "a tag with a v": ([("one", "v1.2.3"), ("two",)], "1.2.4.dev1"),
    "a short tag": ([("one", "1.2"), ("two",)], "1.2.1.dev1"),
    "a release candidate": ([("one", "2.0.0.0rc1")], "2.0.0.0rc1"),
    "commits after a release candidate": ([("one", "2.0.0.0rc1"), ("two",)], "2.0.0.0rc2.dev1"),
    "candidate and release on one commit": ([("one", "2.0.0.0rc1", "2.0.0"), ("two",)], "2.0.1.dev1"),
    "an end-of-life tag": ([("one", "1.0.0"), ("two", "2026.1-eol")], "1.0.1.dev1"),
    "a feature": ([("one", "1.2.3"), ("two\n\nSem-Ver: feature",)], "1.3.0.dev1"),
    "an api break": ([("one", "1.2.3"), ("two\n\nsem-ver: bugfix, api-break",), ("three",)], "2.0.0.dev2"),
    "no tag": ([("one",), ("two",)], "0.0.1.dev1"),
}


@pytest.mark.parametrize("case", VERSIONS)
def test_the_version_is_what_pbr_would_say(home: UserHome, server: Server, case: str) -> None:
    commits, version = VERSIONS[case]
    upstream = server.repository("versions")
    for message, *tags in commits:
        upstream.commit(message, **{"setup.cfg": "[metadata]\nname = x\n"})
        for tag in tags:
            git(upstream.work, "tag", "-a", "-m", tag, tag)
    upstream.push("master", "--tags")
    assert Developer(home, Remotes(upstream.url, upstream.url))("master").version == version


def test_without_any_tag_the_version_is_the_one_that_is_written_down(home: UserHome, server: Server) -> None:
    upstream = server.repository("untagged")
    upstream.commit("one", **{"setup.cfg": "[metadata]\nversion = 3.1.0\n"})
    upstream.push("master:configured")
    upstream.commit("two", **{"PKG-INFO": "Metadata-Version: 2.1\nName: x\nVersion: 4.5.6\n\ntext\n"})
    upstream.push("master:archive")
    developer = Developer(home, Remotes(upstream.url, upstream.url))
    assert developer("configured").version == "3.1.0"
    assert developer("archive").version == "4.5.6"


def test_the_version_of_a_shallow_clone_is_valid(developer: Developer, home: UserHome, heat: Upstream) -> None:
    tree = home.home / "shallow"
    git(home.home, "clone", "--quiet", "--depth=1", "--no-tags", heat.url, str(tree), home=home)
    assert developer("~/shallow").version == "0.0.0"


def test_tags_that_came_since_are_fetched_with_a_change_once_an_hour(developer: Developer, heat: Upstream) -> None:
    assert developer("review/123").version == "2.0.1.dev1"
    heat.commit("Third", **{"third.py": "3\n"})
    git(heat.work, "tag", "-a", "-m", "3.0.0", "3.0.0")
    heat.push("master", "--tags")
    heat.patchset(124, 1, **{"engine.py": "x\n"})
    developer.clock += 3601
    assert developer("review/124").version == "3.0.1.dev1"
