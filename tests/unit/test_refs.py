"""What REF texts mean."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devswap.errors import UsageError
from devswap.refs import (
    ChangeId,
    Dependency,
    Fork,
    GerritChange,
    Named,
    OwnTree,
    PullRequest,
    Ref,
    change_ref,
    depends_on,
    parse,
    slug,
)

CHANGE_ID = "I0123456789abcdef0123456789abcdef01234567"
MEANINGS: dict[str, Ref] = {
    "review/123": GerritChange(123),
    "review/123/4": GerritChange(123, 4),
    "refs/changes/23/123/4": GerritChange(123, 4),
    "refs/changes/23/123": GerritChange(123),
    "refs/changes/05/5/1": GerritChange(5, 1),
    "https://review.example.org/123": GerritChange(123),
    "https://review.example.org/123/4": GerritChange(123, 4),
    "https://review.example.org/c/123": GerritChange(123),
    "https://review.example.org/#/c/123/4/": GerritChange(123, 4),
    "https://review.example.org/#/c/openstack/heat/+/123/4/": GerritChange(123, 4, "openstack/heat"),
    "https://review.example.org/c/openstack/heat/+/123": GerritChange(123, None, "openstack/heat"),
    "https://review.example.org/c/openstack/heat/+/123/": GerritChange(123, None, "openstack/heat"),
    "https://review.example.org/c/openstack/heat/+/123/4": GerritChange(123, 4, "openstack/heat"),
    "https://review.example.org/c/openstack/heat/+/123/4/heat/engine/a@b.py": GerritChange(123, 4, "openstack/heat"),
    "https://review.example.org/c/openstack/heat/+/123/2..4/heat/x.py#5": GerritChange(123, 4, "openstack/heat"),
    "https://review.example.org/c/openstack/heat/+/123/comment/8f2a_b/": GerritChange(123, None, "openstack/heat"),
    "https://review.example.org/c/openstack/heat/+/123?tab=comments": GerritChange(123, None, "openstack/heat"),
    "https://review.example.org/openstack/heat/+/123": GerritChange(123, None, "openstack/heat"),
    "https://example.org/gerrit/c/openstack/heat/+/123/4": GerritChange(123, 4, "openstack/heat"),
    CHANGE_ID: ChangeId(CHANGE_ID),
    "master": Named("master"),
    "stable/2026.1": Named("stable/2026.1"),
    "26.0.2": Named("26.0.2"),
    "review/ada/topic": Named("review/ada/topic"),
    "deadbeef": Named("deadbeef"),
    "refs/heads/master": Named("refs/heads/master"),
    "HEAD": Named("HEAD"),
    "me@work": Named("me@work"),
    "pr/12": PullRequest(12),
    "https://git.example.org/me/heat@fix": Fork("https://git.example.org/me/heat", Named("fix")),
    "https://me@git.example.org/me/heat.git@stable/2026.1": Fork(
        "https://me@git.example.org/me/heat.git", Named("stable/2026.1")
    ),
    "https://git.example.org/me/heat@pr/7": Fork("https://git.example.org/me/heat", PullRequest(7)),
    "https://git.example.org/me/heat@review/5/1": Fork("https://git.example.org/me/heat", GerritChange(5, 1)),
    "https://git.example.org/me/heat/pull/7": Fork("https://git.example.org/me/heat", PullRequest(7)),
    "https://git.example.org/me/heat/pull/7/files": Fork("https://git.example.org/me/heat", PullRequest(7)),
    "git@git.example.org:me/heat.git@fix": Fork("git@git.example.org:me/heat.git", Named("fix")),
    "ssh://git@git.example.org:2222/me/heat@fix": Fork("ssh://git@git.example.org:2222/me/heat", Named("fix")),
    "file:///srv/heat.git@fix": Fork("file:///srv/heat.git", Named("fix")),
    ".": OwnTree("."),
    "..": OwnTree(".."),
    "./heat": OwnTree("./heat"),
    "~/src/heat": OwnTree("~/src/heat"),
    "/srv/heat": OwnTree("/srv/heat"),
}


@pytest.mark.parametrize("text", MEANINGS)
def test_every_form_of_ref_is_understood(text: str) -> None:
    assert parse(text) == MEANINGS[text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "--upload-pack=touch /tmp/x",
        "-x",
        "feature/-x",
        "a b",
        "a..b",
        "a~1",
        "a^",
        "a:b",
        "HEAD@{1}",
        "x.lock",
        "x/",
        "a\nb",
        "ext::sh -c touch% /tmp/x",
        "https://git.example.org/me/heat",
        "https://git.example.org/me/heat@--upload-pack=x",
        "https://git.example.org/me/heat@/etc",
        "refs/changes/24/123/4",
    ],
)
def test_what_is_no_ref_is_a_usage_error_that_says_what_one_is(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.hint or "after the @" in caught.value.message


def test_a_change_in_the_wrong_folder_is_answered_with_the_right_one() -> None:
    with pytest.raises(UsageError) as caught:
        parse("refs/changes/24/123/4")
    assert caught.value.hint == "did you mean refs/changes/23/123/4?"


@given(st.text(max_size=60))
def test_no_text_becomes_a_name_that_git_could_read_as_an_option(text: str) -> None:
    try:
        meaning = parse(text)
    except UsageError:
        return
    if isinstance(meaning, Named):
        assert not any(part.startswith("-") for part in meaning.name.split("/"))


@given(st.from_regex(r"[a-z0-9/.%~_@-]{1,12}", fullmatch=True), st.from_regex(r"[a-z0-9/.%~_@-]{1,12}", fullmatch=True))
def test_two_refs_never_share_a_folder(one: str, other: str) -> None:
    try:
        first, second = parse(one), parse(other)
    except UsageError:
        return
    if isinstance(first, OwnTree) or isinstance(second, OwnTree):
        return
    assert (slug(first) == slug(second)) == (first == second)


def test_folders_of_refs_are_single_names_that_a_shell_takes_unquoted() -> None:
    slugs = [slug(meaning) for meaning in MEANINGS.values() if not isinstance(meaning, OwnTree)]
    assert all(re.fullmatch(r"[A-Za-z0-9][\w.~@-]*", name) for name in slugs)
    assert slug(Named("stable/2026.1")) == "stable~2026.1"
    assert slug(GerritChange(123, 4)) == "review~123~4"
    assert len(slug(Named("x" * 250))) < 200


def test_a_change_is_kept_below_its_last_two_digits() -> None:
    assert change_ref(5, 1) == "refs/changes/05/5/1"
    assert change_ref(910101, None) == "refs/changes/01/910101"


def test_depends_on_footers_are_read_in_order_once_each_and_in_any_case() -> None:
    message = (
        "Subject\n\nText that says Depends-On: nothing.\n\n"
        "Depends-On: https://review.example.org/c/openstack/keystone/+/5\n"
        "depends-on: https://review.example.org/6\n"
        "Depends-On: https://git.example.org/lib/pull/3\n"
        f"Depends-On: {CHANGE_ID}\n"
        "Depends-On: https://review.example.org/6\n"
    )
    assert depends_on(message) == [
        Dependency("https://review.example.org/c/openstack/keystone/+/5", GerritChange(5, None, "openstack/keystone")),
        Dependency("https://review.example.org/6", GerritChange(6)),
        Dependency("https://git.example.org/lib/pull/3", Fork("https://git.example.org/lib", PullRequest(3))),
        Dependency(CHANGE_ID, ChangeId(CHANGE_ID)),
    ]
    assert depends_on("Subject\n") == []
