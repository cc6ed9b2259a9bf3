"""The user's own tree as REF: live, and never changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devswap.errors import DevswapError
from devswap.invoker import UserHome
from tests.unit.served import ROOT, Developer, Upstream, contents, git


@pytest.fixture
def own(home: UserHome, heat: Upstream) -> Path:
    """A clone of the user's own, with an edit that is in no commit."""
    tree = home.home / "src" / "heat"
    git(home.home, "clone", "--quiet", heat.url, str(tree), home=home)
    (tree / "engine.py").write_text("edited\n")
    (tree / "untracked.py").write_text("")
    # git must look at this file's contents again, and would note in the index that it did
    os.utime(tree / "setup.cfg", (1, 1))
    return tree


@pytest.mark.parametrize("typed", ["{}", "{}/heat", "~/src/heat", "."])
def test_the_users_own_tree_is_used_live_and_never_changed(
    developer: Developer, own: Path, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own / "heat").mkdir()
    monkeypatch.chdir(own)
    before = contents(own)
    checkout = developer(typed.format(own))
    assert (checkout.path, checkout.own_tree, checkout.dirty) == (own, True, True)
    assert (checkout.resolved, checkout.branch, checkout.version) == ("refs/heads/master", "master", "2.0.0")
    assert contents(own) == before
    assert not developer.mirrors.exists()


def test_a_path_that_is_no_tree_of_a_project_is_refused(developer: Developer, home: UserHome) -> None:
    assert "no such folder" in developer.refused("~/nowhere").message
    plain = home.home / "plain"
    plain.mkdir()
    assert "not in a git work tree" in developer.refused("~/plain").message
    git(home.home, "init", "--quiet", str(home.home / "empty"), home=home)
    assert "no commit yet" in developer.refused("~/empty").message
    git(home.home / "empty", "commit", "--quiet", "--allow-empty", "-m", "x", home=home)
    assert "no Python project" in developer.refused("~/empty").message


@pytest.mark.skipif(not ROOT, reason="needs root to make files of another user")
def test_an_own_tree_that_belongs_to_somebody_else_is_refused(developer: Developer, own: Path) -> None:
    os.chown(own, 4321, 4321)
    with pytest.raises(DevswapError, match="belongs to user 4321"):
        developer("~/src/heat")
