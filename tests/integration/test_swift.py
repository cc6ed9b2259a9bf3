"""swift of a sandbox, on four rings: who answers, and who has stored and read an object, is seen in its headers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devswap.sandbox.changes import HARMLESS
from tests.integration.added import give_back, take_over
from tests.integration.cloud import Cloud
from tests.integration.objects import ANSWER, OBJECTS, PROXY, READ, STORED, Store, at_proxy, at_storage, store_of
from tests.integration.people import Desk
from tests.integration.test_foreground import PROMPT, stop

pytestmark = [pytest.mark.sandbox, pytest.mark.added("swift"), pytest.mark.eras("current")]

FILE = "/etc/swift/proxy-server/proxy-server.conf"


@pytest.fixture
def store(cloud: Cloud) -> Iterator[Store]:
    with store_of(cloud) as found:
        yield found


def test_objects_are_stored_and_read_by_the_checkout_and_by_production_again(
    cloud: Cloud, desk: Desk, store: Store
) -> None:
    with at_proxy(cloud, desk) as proxy, at_storage(cloud, desk) as storage:
        assert (store.put("first/red"), store.get("first/red")) == ({}, {})
        mark = take_over(cloud, desk, PROXY, proxy)
        assert store.put("first/blue") == {ANSWER: mark}
        assert store.get("first/red") == store.get("first/blue") == {ANSWER: mark}
        take_over(cloud, desk, OBJECTS, storage)
        for path in ("first/green", "second/green"):
            assert store.put(path) == {ANSWER: mark}
            assert store.get(path) == {ANSWER: mark, READ: mark, STORED: mark}
        assert store.get("first/red") == {ANSWER: mark, READ: mark}
        give_back(desk, PROXY, proxy)
        assert store.get("first/red") == {READ: mark}
        give_back(desk, OBJECTS, storage)
        assert store.get("first/red") == store.get("first/blue") == {}
        for path in ("first/green", "second/green"):
            assert store.get(path) == {STORED: mark}
        assert store.ask("GET", "first").text.split() == ["blue", "green", "red"]


def test_a_breakpoint_in_a_worker_whose_streams_swift_has_closed_has_a_prompt_and_its_log_is_seen(
    cloud: Cloud, desk: Desk, store: Store
) -> None:
    with at_proxy(cloud, desk) as container, ThreadPoolExecutor(1) as pool:
        mark = take_over(cloud, desk, PROXY, container)
        source = checkout(cloud, desk) / "swift/proxy/server.py"
        line = "            answer = self.handle_request(req)\n"
        stops = f"            if req.method == 'PUT':\n                breakpoint()\n{line}"
        desk.edit(source, line, stops)
        terminal = desk.terminal("run", PROXY, "--machine", container)
        terminal.expect("answers from")
        put = pool.submit(store.put, "first/debugged")
        terminal.expect("has stopped;")
        terminal.expect(PROMPT)
        terminal.sendline("p req.path.rpartition('/')[2] + 'here'")
        terminal.expect("'debuggedhere'")
        terminal.expect(PROMPT)
        terminal.sendcontrol("c")
        terminal.expect(PROMPT)
        terminal.sendline("n")
        terminal.expect(r"server\.py\(\d+\)__call__\(\)")
        terminal.expect(PROMPT)
        assert not put.done()
        terminal.sendline("c")
        assert put.result(60) == {ANSWER: mark}
        terminal.expect("PUT /v1/AUTH_[0-9a-f]+/first/debugged ")
        stop(terminal)
        assert cloud.sh("pgrep -u swift || true", on=container) == ""
        assert "first/debugged" in desk.devswap("logs", PROXY, "--machine", container).stdout
        desk.edit(source, stops, line)
        give_back(desk, PROXY, container)


def test_options_of_oslo_config_are_refused_and_its_own_file_is_edited_instead(
    cloud: Cloud, desk: Desk, store: Store
) -> None:
    change = cloud.change(HARMLESS, "swift")
    with at_proxy(cloud, desk) as container:
        for option in (["--debug"], ["--set", "DEFAULT.workers=1"]):
            line = ("checkout", PROXY, f"review/{change.number}", "--machine", container, "--detach", *option)
            said = desk.devswap(*line, code=2).said
            assert "has no options of oslo.config" in said
            assert f"devswap edit {PROXY} {FILE}" in said
        take_over(cloud, desk, PROXY, container)
        assert processes(cloud, container) == 3
        (editor := desk.person.home / "one-worker").write_text('#!/bin/sh\nsed -i "s/^workers = 2/workers = 0/" "$1"\n')
        editor.chmod(0o755)
        desk.devswap("edit", PROXY, FILE, "--machine", container, environment={"EDITOR": str(editor)})
        desk.devswap("run", PROXY, "--machine", container, "--detach")
        assert processes(cloud, container) == 1
        assert store.put("first/edited") == {ANSWER: change.patchsets[-1].shows}
        assert "swift has no options of oslo.config" in desk.devswap("diff", PROXY, "--machine", container).said
        desk.devswap("edit", PROXY, FILE, "--machine", container, "--drop")
        give_back(desk, PROXY, container)
        assert processes(cloud, container) == 3


def processes(cloud: Cloud, container: str) -> int:
    return len(cloud.sh("pgrep -u swift", on=container).split())


def checkout(cloud: Cloud, desk: Desk) -> Path:
    return desk.person.checkout(f"review~{cloud.change(HARMLESS, 'swift').number}", "swift")
