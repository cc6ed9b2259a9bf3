"""What Gerrit's REST says of changes, asked of a small server that speaks it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from devswap import gerrit
from devswap.gerrit import Review
from devswap.source import Remotes
from tests.unit.gerrit import Gerrit
from tests.unit.served import CHANGE_ID, Developer, Upstream, commit_of


@pytest.fixture
def rest() -> Iterator[Gerrit]:
    with Gerrit() as served:
        yield served


@pytest.fixture
def asking(developer: Developer, rest: Gerrit) -> Developer:
    developer.remotes = replace(developer.remotes, rest=rest.url)
    return developer


def test_a_change_is_described(rest: Gerrit) -> None:
    rest.add(123, "openstack/heat", patchset=4)
    found = gerrit.review(rest.url, 123, "heat")
    assert found == Review(123, "openstack/heat", "master", "Change 123", "Ada", "NEW", 4)
    assert str(found) == "change 123 by Ada for master, new: Change 123"
    assert gerrit.review(rest.url, 123, "nova") is None
    assert gerrit.review(rest.url, 124, "heat") is None


@pytest.mark.parametrize("answer", [b"", b"<html>", b")]}'\n{}", b")]}'\n[{}]", b")]}'\n[[]]", b"\xff"])
def test_an_answer_that_is_none_of_gerrits_is_no_answer(answer: bytes) -> None:
    class Odd(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Odd) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert gerrit.review(f"http://127.0.0.1:{server.server_port}", 123, "heat") is None
        server.shutdown()


@pytest.mark.parametrize("begins", ["drips", ""], ids=["drips", "silent"])
def test_a_server_that_never_comes_to_an_end_is_no_answer(begins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gerrit, "_SECONDS", 0.2)
    asked_enough = threading.Event()

    class Endless(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if begins:
                self.send_response(200)
                self.end_headers()
            with suppress(OSError):
                while not asked_enough.wait(0.02):
                    if begins:
                        self.wfile.write(b" ")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert gerrit.review(f"http://127.0.0.1:{server.server_port}", 123, "heat") is None
        asked_enough.set()
        server.shutdown()


def test_a_server_that_is_away_or_no_web_server_is_no_answer(rest: Gerrit) -> None:
    rest.answers = False
    assert gerrit.reviews(rest.url, 123) is None
    assert gerrit.reviews("http://127.0.0.1:9", 123) is None
    assert gerrit.reviews("file:///etc", 123) is None


def test_a_change_id_is_looked_up_by_rest_where_gerrit_answers(asking: Developer, rest: Gerrit) -> None:
    rest.add(999, "openstack/heat", change_id=CHANGE_ID, status="MERGED")
    rest.add(123, "openstack/heat", change_id=CHANGE_ID)
    rest.add(124, "openstack/nova", change_id=CHANGE_ID)
    assert asking(CHANGE_ID).change == 123
    assert not any("looking through" in line for line in asking.said)


def test_the_beginning_of_a_commits_name_is_looked_up_by_rest_where_gerrit_answers(
    asking: Developer, rest: Gerrit, heat: Upstream
) -> None:
    commit = commit_of(heat, "refs/changes/23/123/2")
    rest.add(123, "openstack/heat", commit=commit, patchset=2)
    rest.add(124, "openstack/nova", commit=commit)
    assert asking(commit[:10]).commit == commit
    assert rest.asked == [commit[:10]]
    assert not any("looking through" in line for line in asking.said)


def test_a_checkout_of_a_change_knows_what_gerrit_says_of_it(asking: Developer, rest: Gerrit, heat: Upstream) -> None:
    rest.add(123, "openstack/heat", patchset=2)
    assert asking("review/123/1").review == Review(123, "openstack/heat", "master", "Change 123", "Ada", "NEW", 2)
    assert asking("master").review is None
    assert asking(f"{heat.url}@review/123").review is None, "nobody knows whose Gerrit a fork has"
    assert rest.asked == ["123"]


def test_a_gerrit_that_does_not_answer_is_not_needed(asking: Developer, rest: Gerrit) -> None:
    rest.answers = False
    checkout = asking("review/123")
    assert (checkout.patchset, checkout.review) == (2, None)
    assert checkout.remotes == Remotes(asking.remotes.branches, asking.remotes.changes, rest.url)
