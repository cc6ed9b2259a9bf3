"""Refs become checkouts: real repositories, a real `git daemon`, and as root another user than root."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devswap.errors import DevswapError, UsageError
from devswap.invoker import UserHome
from devswap.mirror import key
from devswap.process import Identity
from devswap.source import Checkout, Remotes, prepare

ROOT = os.geteuid() == 0
CHANGE_ID = "I0123456789abcdef0123456789abcdef01234567"
SOMEBODY = 1234


def git(folder: Path, *argv: str, home: UserHome | None = None, check: bool = True) -> str:
    """git as the person at the keyboard uses it; as `home`'s user where one is given."""
    who = home.identity if home else None
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home.home if home else folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{role}_{what}": f"ada{at}" for role in ("AUTHOR", "COMMITTER") for what, at in
           (("NAME", ""), ("EMAIL", "@example.org"))},
    }  # fmt: skip
    done = subprocess.run(
        ["git", "-C", str(folder), *argv],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        user=who.uid if who else None,
        group=who.gid if who else None,
        extra_groups=[] if who else None,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Upstream:
    """A served repository, and the work tree that its commits are made in."""

    name: str
    bare: Path
    work: Path
    port: int

    @property
    def url(self) -> str:
        return f"git://127.0.0.1:{self.port}/{self.name}"

    def commit(self, message: str, **files: str) -> str:
        for name, text in files.items():
            (self.work / name).write_text(text)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "-m", message)
        return git(self.work, "rev-parse", "HEAD")

    def push(self, *refspecs: str) -> None:
        git(self.work, "push", "--quiet", "--force", str(self.bare), *refspecs)

    def patchset(self, number: int, patchset: int, base: str = "master", **files: str) -> str:
        git(self.work, "checkout", "--quiet", "--detach", base)
        commit = self.commit(f"Change {number}\n\nChange-Id: {CHANGE_ID}", **files)
        self.push(f"HEAD:refs/changes/{number % 100:02d}/{number}/{patchset}")
        git(self.work, "checkout", "--quiet", "master")
        return commit


@dataclass
class Server:
    folder: Path
    port: int
    repositories: dict[str, Upstream] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # not `git daemon`: git would leave the daemon itself behind when ended
        exec_path = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
        self.process = subprocess.Popen(
            [
                f"{exec_path}/git-daemon",
                "--reuseaddr",
                "--listen=127.0.0.1",
                f"--port={self.port}",
                f"--base-path={self.folder}",
                "--export-all",
            ],
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, "git daemon does not answer"
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def repository(self, name: str, *, partial: bool = True) -> Upstream:
        upstream = Upstream(name, self.folder / name, self.folder / f"{name}.work", self.port)
        git(self.folder, "init", "--quiet", "--bare", "--initial-branch=master", str(upstream.bare))
        git(self.folder, "init", "--quiet", "--initial-branch=master", str(upstream.work))
        git(upstream.bare, "config", "uploadpack.allowFilter", str(partial).lower())
        git(upstream.bare, "config", "uploadpack.allowAnySHA1InWant", str(partial).lower())
        self.repositories[name] = upstream
        return upstream


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = Server(folder, port)
    served.start()
    yield served
    served.stop()


@pytest.fixture
def heat(server: Server) -> Upstream:
    """A project with two releases, a stable branch, two patchsets of a change, a pull request."""
    upstream = server.repository("heat")
    upstream.commit(
        "First", **{"setup.cfg": "[metadata]\nname = openstack-heat\n", "engine.py": "one\n", "old.py": "x"}
    )
    git(upstream.work, "tag", "-a", "-m", "1.0.0", "1.0.0")
    git(upstream.work, "branch", "stable/2026.1")
    review = "[gerrit]\nhost=review.example.org\nport=29418\nproject=openstack/heat.git\n"
    upstream.commit("Second", **{"engine.py": "two\n", ".gitreview": review})
    git(upstream.work, "tag", "-a", "-m", "2.0.0", "2.0.0")
    upstream.patchset(123, 1, **{"engine.py": "patchset one\n", "new.py": "1\n"})
    upstream.patchset(123, 2, **{"engine.py": "patchset two\n", "new.py": "2\n"})
    upstream.push("master", "stable/2026.1", "--tags", "master~1:refs/pull/7/head", "master:refs/changes/23/123/meta")
    return upstream


@pytest.fixture
def home() -> Iterator[UserHome]:
    """As root the home of somebody else, below a folder that they can reach."""
    folder = Path(tempfile.mkdtemp(prefix="devswap-home-"))
    folder.chmod(0o755)
    if ROOT:
        os.chown(folder, SOMEBODY, SOMEBODY)
    uid = SOMEBODY if ROOT else os.geteuid()
    who = Identity(SOMEBODY, SOMEBODY) if ROOT else None
    yield UserHome("ada", uid, who, folder, folder / ".local/share/devswap")
    shutil.rmtree(folder)


@dataclass
class Developer:
    """Someone with a home who types refs of one project."""

    home: UserHome
    remotes: Remotes
    said: list[str] = field(default_factory=list)
    clock: float = 1_800_000_000.0

    def __call__(self, ref: str) -> Checkout:
        return prepare(
            "heat",
            ref,
            remotes=self.remotes,
            home=self.home,
            cache=self.mirrors,
            say=self.said.append,
            now=lambda: self.clock,
        )

    @property
    def mirrors(self) -> Path:
        return self.home.folder / "mirrors"

    def git(self, checkout: Checkout, *argv: str) -> str:
        return git(checkout.path, *argv, home=self.home)

    def write(self, path: Path, text: str) -> None:
        path.write_text(text)
        if ROOT:
            os.chown(path, SOMEBODY, SOMEBODY)

    def refused(self, ref: str) -> DevswapError:
        before = contents(self.home.folder / "checkouts")
        with pytest.raises(DevswapError) as caught:
            self(ref)
        assert contents(self.home.folder / "checkouts") == before, "a refusal changed something"
        return caught.value


@pytest.fixture
def developer(home: UserHome, heat: Upstream) -> Developer:
    return Developer(home, Remotes(heat.url, heat.url))


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder with a digest of what is in it, its owner, and when it was changed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        entry = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        # git touches a folder when it takes and leaves a lock there, which changes nothing in it
        found[str(path)] = f"{digest} {entry.st_uid} {entry.st_mtime_ns if path.is_file() else ''}"
    return found


def commit_of(upstream: Upstream, name: str) -> str:
    return git(upstream.bare, "rev-parse", f"{name}^{{commit}}")


FORMS = {
    "review/123": ("refs/changes/23/123/2", "patchset two"),
    "review/123/1": ("refs/changes/23/123/1", "patchset one"),
    "refs/changes/23/123/1": ("refs/changes/23/123/1", "patchset one"),
    "https://review.example.org/c/openstack/heat/+/123/1/engine.py": ("refs/changes/23/123/1", "patchset one"),
    "https://review.example.org/123": ("refs/changes/23/123/2", "patchset two"),
    CHANGE_ID: ("refs/changes/23/123/2", "patchset two"),
    "master": ("refs/heads/master", "two"),
    "stable/2026.1": ("refs/heads/stable/2026.1", "one"),
    "refs/heads/stable/2026.1": ("refs/heads/stable/2026.1", "one"),
    "1.0.0": ("refs/tags/1.0.0", "one"),
    "refs/tags/2.0.0": ("refs/tags/2.0.0", "two"),
    "pr/7": ("refs/pull/7/head", "one"),
    "HEAD": ("HEAD", "two"),
}


@pytest.mark.parametrize("ref", FORMS)
def test_every_remote_form_of_ref_becomes_a_checkout(developer: Developer, heat: Upstream, ref: str) -> None:
    name, engine = FORMS[ref]
    checkout = developer(ref)
    assert checkout.commit == commit_of(heat, name)
    assert checkout.resolved == name
    assert (checkout.path / "engine.py").read_text() == f"{engine}\n"
    assert developer.git(checkout, "rev-parse", "HEAD") == checkout.commit
    assert developer.git(checkout, "status", "--porcelain") == ""
    assert not checkout.own_tree
    assert not checkout.dirty


@pytest.mark.parametrize("digits", [40, 10])
def test_a_commit_is_found_by_its_full_and_its_short_name(developer: Developer, heat: Upstream, digits: int) -> None:
    commit = commit_of(heat, "master~1")
    checkout = developer(commit[:digits])
    assert (checkout.commit, checkout.resolved) == (commit, commit)


def test_a_commit_of_a_change_is_found_by_its_full_name_alone(developer: Developer, heat: Upstream) -> None:
    commit = commit_of(heat, "refs/changes/23/123/1")
    assert developer(commit).commit == commit


def test_a_fork_is_fetched_from_its_own_address(developer: Developer, server: Server) -> None:
    fork = server.repository("fork")
    fork.commit("Elsewhere", **{"engine.py": "fork\n", "setup.cfg": "[metadata]\nversion = 7.1.0\n"})
    fork.push("master:feature", "master:refs/pull/3/head")
    for ref in ("feature", "pr/3"):
        checkout = developer(f"{fork.url}@{ref}")
        assert (checkout.path / "engine.py").read_text() == "fork\n"
        assert developer.git(checkout, "remote", "get-url", "fork") == fork.url
    assert developer("master").path != checkout.path


def test_branches_and_changes_may_be_on_different_servers(home: UserHome, server: Server, heat: Upstream) -> None:
    gerrit = server.repository("gerrit")
    git(heat.work, "fetch", "--quiet", str(heat.bare), "refs/changes/23/123/*:refs/changes/23/123/*")
    git(heat.work, "push", "--quiet", str(gerrit.bare), "refs/changes/23/123/*")
    git(heat.bare, "update-ref", "-d", "refs/changes/23/123/1")
    git(heat.bare, "update-ref", "-d", "refs/changes/23/123/2")
    git(heat.bare, "gc", "--quiet", "--prune=now")
    checkout = Developer(home, Remotes(heat.url, gerrit.url))("review/123")
    assert (checkout.path / "new.py").read_text() == "2\n"
    assert (checkout.patchset, checkout.newest) == (2, 2)
    assert checkout.version == "2.0.1.dev1"


def test_a_change_id_is_looked_up_by_rest_where_gerrit_answers(home: UserHome, heat: Upstream) -> None:
    changes = [
        {"_number": 999, "project": "openstack/heat", "status": "MERGED"},
        {"_number": 123, "project": "openstack/heat", "status": "NEW"},
        {"_number": 124, "project": "openstack/nova", "status": "NEW"},
    ]

    class Rest(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b")]}'\n" + json.dumps(changes).encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Rest) as rest:
        threading.Thread(target=rest.serve_forever, daemon=True).start()
        developer = Developer(home, Remotes(heat.url, heat.url, f"http://127.0.0.1:{rest.server_port}"))
        checkout = developer(CHANGE_ID)
        rest.shutdown()
    assert checkout.change == 123
    assert not any("looking through" in line for line in developer.said)


def test_a_change_id_of_several_changes_is_answered_with_their_numbers(developer: Developer, heat: Upstream) -> None:
    heat.patchset(301, 1, **{"engine.py": "backport\n"})
    error = developer.refused(CHANGE_ID)
    assert error.hint == "type one of review/123, review/301"


def test_the_newest_patchset_is_followed_and_what_was_before_is_told(developer: Developer, heat: Upstream) -> None:
    first = developer("review/123")
    assert (first.patchset, first.newest, first.previous) == (2, 2, None)
    newer = heat.patchset(123, 3, **{"engine.py": "patchset three\n"})
    moved = developer("review/123")
    assert (moved.path, moved.commit, moved.patchset, moved.previous) == (first.path, newer, 3, first.commit)
    assert (moved.path / "engine.py").read_text() == "patchset three\n"
    assert not (moved.path / "new.py").exists()
    assert developer("review/123/2").newest == 3


def test_patchset_ten_is_newer_than_nine(developer: Developer, heat: Upstream) -> None:
    for patchset in (9, 10):
        commit = heat.patchset(123, patchset, **{"engine.py": f"{patchset}\n"})
    assert developer("review/123").commit == commit


def test_the_same_ref_again_changes_nothing(developer: Developer) -> None:
    developer("review/123")
    before = contents(developer.home.folder / "checkouts")
    again = developer("review/123")
    assert again.previous is None
    assert contents(developer.home.folder / "checkouts") == before


def test_a_tag_and_a_commit_that_were_seen_before_need_no_network(developer: Developer, server: Server) -> None:
    commit = developer("master").commit
    server.stop()
    assert developer("2.0.0").commit == commit
    assert developer(commit).commit == commit


def test_a_branch_is_followed_even_when_it_was_rewritten(developer: Developer, heat: Upstream) -> None:
    developer("master")
    git(heat.work, "reset", "--quiet", "--hard", "HEAD~1")
    commit = heat.commit("Rewritten", **{"engine.py": "rewritten\n"})
    heat.push("master")
    checkout = developer("master")
    assert checkout.commit == commit
    assert developer.git(checkout, "rev-parse", "origin/master") == commit
    assert developer.git(checkout, "status", "--porcelain", "--branch") == "## master...origin/master"


def test_two_checkouts_stand_side_by_side(developer: Developer) -> None:
    one, two, branch = developer("review/123/1"), developer("review/123/2"), developer("master")
    texts = [(each.path / "engine.py").read_text() for each in (one, two, branch)]
    assert texts == ["patchset one\n", "patchset two\n", "two\n"]


def test_the_second_checkout_borrows_the_objects_of_the_first(developer: Developer) -> None:
    checkouts = [developer("master"), developer("review/123")]
    for checkout in checkouts:
        assert developer.git(checkout, "count-objects") == "0 objects, 0 kilobytes"


def test_what_the_server_allows_is_left_for_later_and_fetched_by_git_itself(developer: Developer) -> None:
    checkout = developer("master")
    listed = git(
        developer.mirrors / "heat.git", "rev-list", "--objects", "--missing=print", "--all", home=developer.home
    )
    assert [line for line in listed.splitlines() if line.startswith("?")]
    assert "one" in developer.git(checkout, "show", "1.0.0:engine.py")


def test_a_server_without_partial_clones_serves_as_well(home: UserHome, heat: Upstream) -> None:
    git(heat.bare, "config", "uploadpack.allowFilter", "false")
    git(heat.bare, "config", "uploadpack.allowAnySHA1InWant", "false")
    developer = Developer(home, Remotes(heat.url, heat.url))
    assert (developer("review/123").path / "engine.py").read_text() == "patchset two\n"
    assert (developer("1.0.0").path / "engine.py").read_text() == "one\n"


def test_everything_belongs_to_the_invoking_user(developer: Developer) -> None:
    developer("review/123")
    developer("master")
    assert {path.lstat().st_uid for path in developer.home.home.rglob("*")} == {developer.home.uid}


def test_the_user_commits_amends_and_rebases_in_a_checkout(developer: Developer) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "engine.py", "mine\n")
    developer.git(checkout, "commit", "--quiet", "--all", "-m", "Mine")
    developer.git(checkout, "commit", "--quiet", "--amend", "-m", "Mine, again")
    developer.git(checkout, "rebase", "--quiet", "origin/stable/2026.1", "-X", "theirs")
    assert developer.git(checkout, "log", "-1", "--format=%s") == "Mine, again"
    assert developer.git(checkout, "branch", "--show-current") == "review/123"
    developer.git(checkout, "fsck", "--connectivity-only")


def test_a_checkout_has_the_remotes_that_git_review_works_with(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    assert developer.git(checkout, "remote", "get-url", "origin") == heat.url
    assert developer.git(checkout, "remote", "get-url", "gerrit") == heat.url
    pushed_to = developer.git(checkout, "remote", "get-url", "--push", "gerrit")
    assert pushed_to == "ssh://review.example.org:29418/openstack/heat.git"
    assert developer.git(checkout, "rev-parse", "--abbrev-ref", "@{upstream}") == "origin/master"
    assert developer.git(checkout, "log", "--format=%s", "HEAD", "--not", "--remotes=gerrit") == "Change 123"
    assert developer.git(checkout, "fetch", "--quiet", "origin") == ""


def test_the_users_hooks_are_theirs_and_never_run_for_us(developer: Developer) -> None:
    ran = developer.home.home / "ran"
    hooks = developer.home.home / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "pre-commit", "fsmonitor"):
        developer.write(hooks / name, f"#!/bin/sh\necho {name} >>{ran}\n")
        (hooks / name).chmod(0o755)
    developer.write(
        developer.home.home / ".gitconfig", f"[core]\nhooksPath = {hooks}\nfsmonitor = {hooks / 'fsmonitor'}\n"
    )
    checkout = developer("master")
    assert not ran.exists()
    developer.git(checkout, "commit", "--quiet", "--allow-empty", "-m", "Mine")
    assert "pre-commit" in ran.read_text()


def test_edits_are_never_lost_and_the_hint_keeps_them(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "engine.py", "mine\n")
    heat.patchset(123, 3, **{"engine.py": "patchset three\n"})
    error = developer.refused("review/123")
    assert "engine.py" in error.message
    assert error.hint is not None
    assert f"git -C '{checkout.path}' switch -c keep-review-123" in error.hint
    developer.git(checkout, "switch", "--quiet", "-c", "keep-review-123")
    developer.git(checkout, "commit", "--quiet", "--all", "-m", "my edits")
    assert (developer("review/123").path / "engine.py").read_text() == "patchset three\n"
    assert developer.git(checkout, "show", "keep-review-123:engine.py") == "mine"


def test_edits_are_refused_also_when_there_is_nothing_newer(developer: Developer) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "engine.py", "mine\n")
    assert "edits" in developer.refused("review/123").message
    assert (checkout.path / "engine.py").read_text() == "mine\n"


@pytest.mark.parametrize("ref", ["review/123", "master", "2.0.0"])
def test_local_commits_are_never_lost_and_the_hint_keeps_them(developer: Developer, ref: str) -> None:
    checkout = developer(ref)
    developer.git(checkout, "commit", "--quiet", "--allow-empty", "-m", "Mine alone")
    mine = developer.git(checkout, "rev-parse", "HEAD")
    error = developer.refused(ref)
    assert "Mine alone" in error.message
    assert error.hint is not None
    keep = error.hint.rpartition("branch ")[2]
    developer.git(checkout, "branch", keep)
    assert developer(ref).commit == checkout.commit
    assert developer.git(checkout, "rev-parse", keep) == mine


def test_a_local_commit_on_the_refs_branch_is_kept_while_the_user_is_elsewhere(developer: Developer) -> None:
    checkout = developer("review/123")
    developer.git(checkout, "commit", "--quiet", "--allow-empty", "-m", "Mine alone")
    developer.git(checkout, "switch", "--quiet", "--detach", "origin/master")
    assert "Mine alone" in developer.refused("review/123").message


def test_a_rebase_under_way_is_left_alone(developer: Developer) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "engine.py", "mine\n")
    developer.git(checkout, "commit", "--quiet", "--all", "-m", "Mine")
    git(checkout.path, "rebase", "--onto", "origin/stable/2026.1", "HEAD~1", home=developer.home, check=False)
    assert "rebase" in developer.refused("review/123").message


def test_untracked_files_stay_and_do_not_hinder(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "notes.txt", "mine\n")
    heat.patchset(123, 3, **{"engine.py": "patchset three\n"})
    assert developer("review/123").patchset == 3
    assert (checkout.path / "notes.txt").read_text() == "mine\n"


def test_an_untracked_file_in_the_way_is_not_overwritten(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    developer.write(checkout.path / "notes.txt", "mine\n")
    heat.patchset(123, 3, **{"notes.txt": "theirs\n"})
    with pytest.raises(DevswapError, match=r"notes\.txt"):
        developer("review/123")
    assert (checkout.path / "notes.txt").read_text() == "mine\n"
    assert developer.git(checkout, "rev-parse", "HEAD") == checkout.commit


def test_a_patchset_that_does_not_exist_is_answered_with_those_that_do(developer: Developer) -> None:
    error = developer.refused("review/123/9")
    assert "no patchset 9: it has 1, 2" in error.message
    assert error.hint is not None
    assert "review/123/2" in error.hint


def test_a_change_that_does_not_exist_is_said(developer: Developer) -> None:
    assert "change 77 does not exist in heat" in developer.refused("review/77").message


def test_a_change_of_another_project_is_said(developer: Developer) -> None:
    with pytest.raises(UsageError, match="belongs to openstack/nova"):
        developer("https://review.example.org/c/openstack/nova/+/123")


def test_an_unknown_name_is_answered_with_near_ones(developer: Developer) -> None:
    error = developer.refused("stable/2026.2")
    assert "stable/2026.2 is no branch, tag or commit" in error.message
    assert error.hint == "did you mean stable/2026.1?"


@pytest.mark.parametrize("ref", ["0123456789" * 4, "0123456", "refs/heads/none", "refs/other/none", "pr/99", "mastr"])
def test_unknown_names_of_every_kind_are_refused_with_a_hint(developer: Developer, ref: str) -> None:
    developer("master")
    assert developer.refused(ref).hint


@pytest.mark.parametrize("ref", ["master", "review/123", CHANGE_ID, "pr/7"])
def test_a_server_that_is_away_is_said_with_its_address(developer: Developer, server: Server, ref: str) -> None:
    server.stop()
    error = developer.refused(ref)
    assert f"cannot reach {developer.remotes.branches}" in error.message
    assert "refused" in error.message
    assert error.hint is not None
    assert "--remote" in error.hint


def test_an_address_without_a_repository_is_said(home: UserHome, server: Server) -> None:
    nothing = f"git://127.0.0.1:{server.port}/nothing"
    assert "not a git repository" in Developer(home, Remotes(nothing, nothing)).refused("master").message
    plain = server.folder / "plain"
    plain.mkdir()
    local = f"file://{plain}"
    assert "not a git repository" in Developer(home, Remotes(local, local)).refused("master").message


def test_no_address_can_start_a_program(home: UserHome, tmp_path: Path) -> None:
    for address in (f"ext::touch {tmp_path / 'ran'}", f"--upload-pack=touch {tmp_path / 'ran'}"):
        Developer(home, Remotes(address, address)).refused("master")
    assert not (tmp_path / "ran").exists()


def test_a_password_in_an_address_is_not_shown(home: UserHome, server: Server) -> None:
    address = f"http://ada:hunter2@127.0.0.1:{server.port}/heat"
    developer = Developer(home, Remotes(address, address))
    error = developer.refused("master")
    assert "hunter2" not in f"{error.message} {error.hint} {developer.said}"


@pytest.mark.skipif(not ROOT, reason="needs root to mount a small file system")
def test_a_full_disk_is_said_and_leaves_no_checkout(developer: Developer, heat: Upstream) -> None:
    heat.commit("Large", large="".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(60_000)))
    heat.push("master")
    developer.home.folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=2m,uid={SOMEBODY}", "none", developer.home.folder], check=True)
    try:
        error = developer.refused("master")
        assert "no space left" in error.message
        assert error.hint is not None
        assert "df -h" in error.hint
    finally:
        subprocess.run(["umount", developer.home.folder], check=True)


@pytest.mark.skipif(not ROOT, reason="needs root to make files of another user")
def test_a_folder_of_somebody_else_is_not_used(developer: Developer) -> None:
    developer.home.folder.mkdir(parents=True)
    os.chown(developer.home.folder, 4321, 4321)
    with pytest.raises(DevswapError, match="belongs to user 4321"):
        developer("master")


def test_what_an_interrupted_fetch_left_does_not_hinder_the_next(developer: Developer, heat: Upstream) -> None:
    developer("review/123")
    mirror = developer.mirrors / "heat.git"
    newer = heat.patchset(123, 3, **{"engine.py": "patchset three\n"})
    for left in ("config.lock", "packed-refs.lock", "objects/pack/tmp_pack_x1"):
        developer.write(mirror / left, "half")
    (mirror / f"refs/sources/{key(heat.url)}/changes/23/123").mkdir(parents=True, exist_ok=True)
    developer.write(mirror / f"refs/sources/{key(heat.url)}/changes/23/123/3.lock", "")
    assert developer("review/123").commit == newer
    assert not list(mirror.rglob("*.lock"))
    assert not list(mirror.rglob("tmp_*"))


def test_ctrl_c_at_any_word_leaves_what_the_next_run_goes_on_from(developer: Developer) -> None:
    """Interrupts each time one step later, until nothing is left to interrupt."""

    def interrupt(line: str) -> None:
        said.append(line)
        if len(said) > allowed:
            raise KeyboardInterrupt

    allowed = 0
    while True:
        said: list[str] = []
        try:
            checkout = prepare(
                "heat",
                "review/123",
                remotes=developer.remotes,
                home=developer.home,
                cache=developer.mirrors,
                say=interrupt,
            )
        except KeyboardInterrupt:
            allowed += 1
        else:
            break
    assert allowed >= 3
    assert (checkout.path / "engine.py").read_text() == "patchset two\n"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"git://127.0.0.1:{listening.getsockname()[1]}/heat"


def test_ctrl_c_while_the_network_is_silent_ends_git_and_gives_the_mirror_free(home: UserHome, silent: str) -> None:
    developer = Developer(home, Remotes(silent, silent))
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        developer("master")
    subprocess.run(["flock", "--nonblock", developer.mirrors / "heat.lock", "true"], check=True)


def test_a_network_that_falls_silent_is_given_up(home: UserHome, silent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devswap.git._SILENT_SECONDS", 0.5)
    error = Developer(home, Remotes(silent, silent)).refused("master")
    assert f"cannot reach {silent}: nothing was heard" in error.message


def test_two_at_once_take_turns(developer: Developer, heat: Upstream) -> None:
    developer("master")
    found: list[Checkout] = []
    both = [threading.Thread(target=lambda ref=ref: found.append(developer(ref))) for ref in ("review/123", "pr/7")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert {checkout.resolved for checkout in found} == {"refs/changes/23/123/2", "refs/pull/7/head"}


def test_a_checkout_killed_half_way_is_completed(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    newer = heat.patchset(123, 3, **{"engine.py": "patchset three\n", "more.py": "3\n"})
    developer.git(checkout, "fetch", "--quiet", heat.url, newer)
    developer.git(checkout, "config", "devswap.moving", newer)
    developer.write(checkout.path / "engine.py", "patchset three\n")
    developer.write(checkout.path / ".git/index.lock", "")
    assert developer("review/123").commit == newer
    assert (checkout.path / "more.py").read_text() == "3\n"
    assert developer.git(checkout, "status", "--porcelain", "--branch") == "## review/123...origin/master [ahead 1]"


def test_edits_made_after_a_checkout_was_killed_are_kept(developer: Developer, heat: Upstream) -> None:
    checkout = developer("review/123")
    newer = heat.patchset(123, 3, **{"engine.py": "patchset three\n"})
    developer.git(checkout, "fetch", "--quiet", heat.url, newer)
    developer.git(checkout, "config", "devswap.moving", newer)
    developer.write(checkout.path / "engine.py", "mine\n")
    with pytest.raises(DevswapError, match="edits"):
        developer("review/123")
    assert (checkout.path / "engine.py").read_text() == "mine\n"


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
