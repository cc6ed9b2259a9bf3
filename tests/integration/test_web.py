"""Services that answer requests, on a real cloud: heat-api and keystone, on a terminal, detached and under Apache."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from devswap.sandbox import changes
from devswap.sandbox.changes import BROKEN_IMPORT, HARMLESS, MIGRATION, NEW_REVISIONS_OF_KEYSTONE
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud
from tests.integration.people import Desk
from tests.integration.test_meanwhile import journal_of
from tests.integration.through_haproxy import FILES, UnderLoad, address, balancer
from tests.integration.web import (
    EDITED,
    HEADER,
    application,
    ask,
    assert_patient,
    at_a_prompt,
    edited_paste,
    header,
    heat,
    in_tls,
    keystone,
    look,
    stop,
    stopping_tree,
    token,
    wait_for_token,
)

__all__ = ["heat", "in_tls", "keystone"]
pytestmark = pytest.mark.sandbox


def test_heat_api_on_a_terminal_with_a_breakpoint_in_a_request_and_then_detached(
    cloud: Cloud, desk: Desk, heat: str, report: Callable[[str], None]
) -> None:
    tree, on = stopping_tree(desk), balancer(cloud)
    before = cloud.sh("cat /etc/haproxy/haproxy.cfg", on=on)
    terminal = desk.terminal("checkout", "heat-api", str(tree), "--machine", heat)
    terminal.expect("answers from")
    assert_patient(before, cloud.sh("cat /etc/haproxy/haproxy.cfg", on=on))
    # On one era, since it takes that long: HAProxy asks with requests there, and would give up after 50 s.
    seconds = 52 if cloud.era == "2015" else 0
    request = partial(ask, cloud, heat, 8004, "/?stop", address=address(cloud))
    assert at_a_prompt(terminal, request, seconds=seconds).startswith("300 ")
    ended = stop(terminal)
    report(f"{cloud.era}: Ctrl-C ended heat-api on a terminal in {ended:.1f} s")
    with edited_paste(cloud, desk, heat):
        desk.devswap("run", "heat-api", "--machine", heat, "--detach")
        assert ask(cloud, heat, 8004, EDITED).startswith("200 ")
    assert "timeout server 1h" not in cloud.sh("cat /etc/haproxy/haproxy.cfg", on=on)
    assert ask(cloud, heat, 8004, "/").startswith("300 ")
    assert "most recent call first" in desk.devswap("dump", "heat-api", "--machine", heat).stdout
    assert "serving (http://" in desk.devswap("status").stdout
    desk.devswap("restore", "heat-api", "--machine", heat)


def test_heat_api_cfn_on_a_terminal_and_then_detached(cloud: Cloud, desk: Desk, heat: str) -> None:
    """Where production's server is heat's own script, it is one that the checkout, like heat's master, has given up."""
    tree = stopping_tree(desk)
    if cloud.era == "2015":
        desk.edit(tree / "setup.cfg", "heat-api-cfn = ", "heat-api-cfn-of-old = ")
    terminal = desk.terminal("checkout", "heat-api-cfn", str(tree), "--machine", heat)
    if cloud.era == "2015":
        terminal.expect(r"heat\.wsgi\.cfn is served on [0-9.]+:8000 by devswap's own server")
    terminal.expect("answers from")
    request = partial(ask, cloud, heat, 8000, "/?stop", address=address(cloud))
    assert at_a_prompt(terminal, request).startswith("300 ")
    stop(terminal)
    desk.devswap("run", "heat-api-cfn", "--machine", heat, "--detach")
    assert ask(cloud, heat, 8000, "/", address=address(cloud)).startswith("300 ")
    desk.devswap("restore", "heat-api-cfn", "--machine", heat)


def test_an_application_that_fails_at_its_first_request_is_rolled_back(cloud: Cloud, desk: Desk, heat: str) -> None:
    tree = desk.own_tree("fails")
    desk.edit(
        tree / "heat/api/versions.py",
        "        version_objs = [\n",
        "        raise RuntimeError('at its first request')\n        version_objs = [\n",
    )
    failed = desk.devswap("checkout", "heat-api", str(tree), "--machine", heat, "--detach", "--wait", "8", code=1)
    assert "answers 500" in failed.stderr
    assert "production is back" in failed.stderr


def test_a_keystone_that_does_not_import_costs_no_outage(cloud: Cloud, desk: Desk, keystone: str) -> None:
    change = changes.change("keystone", BROKEN_IMPORT, cloud.era)
    failed = desk.devswap("checkout", "keystone", f"review/{change.number}", "--machine", keystone, "--apache", code=1)
    assert "user_tags" in failed.stderr
    assert "stopping" not in failed.stderr


def test_keystone_on_a_terminal_with_a_breakpoint_in_a_request_and_then_detached_with_a_migration(
    cloud: Cloud, desk: Desk, keystone: str, under_load: UnderLoad, report: Callable[[str], None]
) -> None:
    change, on, whole = changes.change("keystone", HARMLESS, cloud.era), balancer(cloud), look(cloud, keystone)
    with under_load("checkout on a terminal"):
        terminal = desk.terminal("checkout", "keystone", f"review/{change.number}", "--machine", keystone)
        terminal.expect("answers from")
    wait_for_token(cloud, header(change))
    ended = stop(terminal)
    report(f"{cloud.era}: Ctrl-C ended keystone on a terminal in {ended:.1f} s")
    source = application(desk, change)
    unedited = source.read_text()
    stops = "    if 'stop' in flask.request.query_string.decode(): breakpoint()\n"
    varied = "    response.headers['Vary'] = 'X-Auth-Token'\n"
    try:
        desk.edit(source, varied, f"    import flask\n{stops}{varied}")
        with under_load("run on a terminal"):
            again = desk.terminal("run", "keystone", "--machine", keystone)
            again.expect("answers from")
        assert at_a_prompt(again, partial(ask, cloud, keystone, 5000, "/v3?stop")).startswith("200 ")
        stop(again)
    finally:
        source.write_text(unedited)
    before, migration = cloud.schema("keystone"), changes.change("keystone", MIGRATION, cloud.era)
    with under_load("switch to --detach with a migration"):
        desk.devswap("checkout", "keystone", f"review/{migration.number}", "--machine", keystone, "--detach")
    migrated = cloud.schema("keystone")
    assert all(revision in migrated for revision in NEW_REVISIONS_OF_KEYSTONE)
    assert ("`note` varchar(255)" in migrated, "`ix_actor_id`" in migrated) == (True, False)
    assert "`ix_actor_id`" in before
    wait_for_token(cloud, header(migration))
    script = journal_of(cloud, "keystone", keystone).with_name("restore.sh")
    narrowed = cloud.sh(FILES, on=on)
    without = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    assert shutil.which("devswap", path=without["PATH"]) is None
    by_hand = subprocess.run(["sh", str(script)], env=without, capture_output=True, text=True, check=False)
    assert by_hand.returncode == 0, by_hand.stderr
    assert cloud.schema("keystone") == before
    assert cloud.sh(FILES, on=on) != narrowed
    found = clouds.differences(whole, look(cloud, keystone))
    assert [line for line in found if not re.search(r": (--- |\+\+\+ |@@ |\+/run/\S+ 0:0 755$)", line)] == []
    assert HEADER.lower() not in token(cloud).lower()
    desk.devswap("restore", "keystone", "--machine", keystone)


def test_keystone_under_its_web_server_installed_and_in_place(
    cloud: Cloud,
    desk: Desk,
    in_tls: bool,  # noqa: FBT001 - a fixture
    keystone: str,
    under_load: UnderLoad,
) -> None:
    change = changes.change("keystone", HARMLESS, cloud.era)
    line = ("checkout", "keystone", f"review/{change.number}", "--machine", keystone, "--apache")
    if in_tls:
        refused = desk.devswap(*line[:-1], "--detach", code=1)
        assert "Apache does TLS for it" in refused.stderr
        assert f"devswap checkout keystone review/{change.number} --apache" in refused.stderr
    if cloud.era == "2015":  # mod_wsgi
        stops = ("--break", "keystone.server.flask.application:application_factory")
        refused = desk.devswap(*line, *stops, code=2)
        assert "it has no terminal to prompt on" in refused.stderr
        assert f"are for a terminal: devswap checkout keystone review/{change.number}" in refused.stderr
    with under_load("checkout --apache --install"):
        desk.devswap(*line, "--install")
    wait_for_token(cloud, header(change))
    source = application(desk, change)
    unedited = source.read_text()
    try:
        _replace(source, header(change), "edited")
        with under_load("run after --apache"):
            desk.devswap("run", "keystone", "--machine", keystone)
        assert f"{HEADER}: {header(change)}" in ask(cloud, keystone, 5000, tls=in_tls)
        with under_load("switch after --apache"):
            desk.devswap("checkout", "keystone", str(source.parents[3]), "--machine", keystone)
        assert f"{HEADER}: edited" in ask(cloud, keystone, 5000, tls=in_tls)
        source.write_text(unedited)
        desk.devswap("run", "keystone", "--machine", keystone)
        wait_for_token(cloud, header(change))
        log = desk.devswap("logs", "keystone", "--machine", keystone).stdout
        assert re.search("mod_wsgi|uwsgi|keystone", log, re.IGNORECASE)
        with under_load("restore after --apache"):
            desk.devswap("restore", "keystone", "--machine", keystone)
        assert HEADER not in ask(cloud, keystone, 5000, tls=in_tls)
        _fails_at_its_first_request(cloud, desk, source, keystone)
    finally:
        source.write_text(unedited)


def _fails_at_its_first_request(cloud: Cloud, desk: Desk, source: Path, keystone: str) -> None:
    """Under mod_wsgi, which has loaded it by then."""
    if cloud.era != "2015":
        return
    varied = "    response.headers['Vary'] = 'X-Auth-Token'\n"
    _replace(source, varied, f"{varied}    raise RuntimeError('at its first request')\n")
    tree = str(source.parents[3])
    failed = desk.devswap("checkout", "keystone", tree, "--machine", keystone, "--apache", "--wait", "20", code=1)
    assert "answers 500" in failed.stderr
    assert "production is back" in failed.stderr


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
