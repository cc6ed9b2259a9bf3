"""Fetching: what is shared, what an interruption or a bad server leaves."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devswap.errors import CommandTimeout, DevswapError
from devswap.git import Git
from devswap.invoker import UserHome
from devswap.mirror import key, open_mirror
from devswap.source import Checkout, Remotes, prepare
from tests.unit.served import CHANGE_ID, ROOT, SOMEBODY, Developer, Server, Upstream, Wire, git


def test_the_second_checkout_borrows_the_objects_of_the_first(developer: Developer) -> None:
    checkouts = [developer("master"), developer("review/123")]
    for checkout in checkouts:
        assert developer.git(checkout, "count-objects") == "0 objects, 0 kilobytes"


def test_a_server_of_many_changes_sends_only_the_one_that_is_asked_for(
    developer: Developer, heat: Upstream, wire: Wire
) -> None:
    for number in range(200, 220):
        heat.push(f"master:refs/changes/{number % 100:02d}/{number}/1")
    url = f"git://127.0.0.1:{wire.port}/heat"
    developer.remotes = Remotes(url, url)
    assert developer("review/123").patchset == 2
    assert b"ref-prefix refs/changes/23/123/" in wire.asked
    assert b"refs/changes/23/123/2" in wire.answered
    assert b"refs/changes/05/205/1" not in wire.answered


def test_the_second_ref_costs_a_fetch_of_the_difference(developer: Developer, heat: Upstream, wire: Wire) -> None:
    large = "".join(hashlib.sha256(str(n).encode()).hexdigest() for n in range(8_000))
    heat.commit("Large", large=large)
    heat.push("master")
    heat.patchset(125, 1, **{"engine.py": "small\n"})
    url = f"git://127.0.0.1:{wire.port}/heat"
    developer.remotes = Remotes(url, url)
    developer("master")
    first = len(wire.answered)
    assert first > 100_000
    wire.forget()
    checkout = developer("review/125")
    assert (checkout.path / "large").read_text() == large
    assert len(wire.answered) < 10_000


def test_a_connection_that_is_lost_is_made_once_more(developer: Developer, heat: Upstream, wire: Wire) -> None:
    url = f"git://127.0.0.1:{wire.port}/{heat.bare.name.removesuffix('.git')}"
    developer.remotes = Remotes(url, url)
    wire.cut = 1
    assert (developer("review/123").path / "engine.py").read_text() == "patchset two\n"
    assert wire.cut == 0
    heat.patchset(126, 1, **{"engine.py": "another\n"})
    wire.cut = 2
    with pytest.raises(DevswapError, match=r"cannot (fetch from|reach) git://"):
        developer("review/126/1")


def test_what_the_server_allows_is_left_for_later_and_fetched_by_git_itself(developer: Developer) -> None:
    checkout = developer("master")
    listed = git(
        developer.mirrors / "heat.git", "rev-list", "--objects", "--missing=print", "--all", home=developer.home
    )
    assert [line for line in listed.splitlines() if line.startswith("?")]
    assert "one" in developer.git(checkout, "show", "1.0.0:engine.py")


def test_a_server_that_was_used_once_and_is_gone_is_asked_no_more(home: UserHome) -> None:
    """git would fetch what is missing in a partial mirror from whichever server it finds first."""
    mirror = open_mirror("heat", cache=home.folder / "mirrors", home=home, say=lambda line: None)
    gone, fork, url = (f"git://{name}.example/heat" for name in ("gone", "fork", "alive"))
    for each in (gone, fork, url):
        mirror._source(each)
    asking = mirror._asking_only(url, mirror.git)
    assert [asking.read("ls-remote", "--get-url", each) for each in (gone, fork, url)] == [url, url, url]
    assert mirror.git.read("ls-remote", "--get-url", gone) == gone


def test_a_server_whose_repository_is_broken_is_said_so(developer: Developer, heat: Upstream) -> None:
    heat.patchset(127, 1, **{"engine.py": "lost on the server\n"})
    blob = git(heat.bare, "rev-parse", "refs/changes/27/127/1:engine.py")
    (heat.bare / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(DevswapError, match=r"cannot fetch from .*: the server says: ") as broken:
        developer("review/127")
    assert "--remote URL" in (broken.value.hint or "")


def test_a_server_without_partial_clones_serves_as_well(home: UserHome, heat: Upstream) -> None:
    git(heat.bare, "config", "uploadpack.allowFilter", "false")
    git(heat.bare, "config", "uploadpack.allowAnySHA1InWant", "false")
    developer = Developer(home, Remotes(heat.url, heat.url))
    assert (developer("review/123").path / "engine.py").read_text() == "patchset two\n"
    assert (developer("1.0.0").path / "engine.py").read_text() == "one\n"


@pytest.mark.parametrize("ref", ["master", "review/123", CHANGE_ID, "pr/7"])
def test_a_server_that_is_away_is_said_with_its_address(developer: Developer, server: Server, ref: str) -> None:
    server.stop()
    error = developer.refused(ref)
    assert f"cannot reach {developer.remotes.branches}" in error.message
    assert "refused" in error.message
    assert error.hint is not None
    assert "--remote" in error.hint


@pytest.mark.parametrize("ref", ["nonsense", "review/99999", "tags/0.0", "/nowhere"])
def test_a_ref_that_there_is_not_is_told_to_who_only_looks_as_to_who_wants_it(developer: Developer, ref: str) -> None:
    with pytest.raises(DevswapError) as looked:
        developer.require(ref)
    assert looked.value.message == developer.refused(ref).message


@pytest.mark.parametrize("ref", ["master", "review/123"])
def test_who_only_looks_has_no_checkout(developer: Developer, ref: str) -> None:
    developer.require(ref)
    assert not (developer.home.folder / "checkouts").exists()
    developer(ref)


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


def test_what_git_has_started_for_a_fetch_is_ended_with_it(
    home: UserHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hold the lock of the mirror for as long as it waits for a server."""
    monkeypatch.setattr("devswap.git._SILENT_SECONDS", 0.5)
    lock = tmp_path / "lock"
    held = Git(replace(home, identity=None), tmp_path)
    monkeypatch.setattr(Git, "_command", lambda self: ["sh", "-c", "sleep 60 & wait", "sh"])
    with pytest.raises(CommandTimeout):
        held.fetch([], lock=lock, say=lambda line: None)
    # A killed process keeps what it has open until the kernel comes to it: not the 60 s of the sleep.
    subprocess.run(["flock", "--timeout", "10", lock, "true"], check=True)


def test_two_at_once_take_turns(developer: Developer, heat: Upstream) -> None:
    developer("master")
    found: list[Checkout] = []
    both = [threading.Thread(target=lambda ref=ref: found.append(developer(ref))) for ref in ("review/123", "pr/7")]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert {checkout.resolved for checkout in found} == {"refs/changes/23/123/2", "refs/pull/7/head"}
