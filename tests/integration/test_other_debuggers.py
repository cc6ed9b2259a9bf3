"""The debuggers that people bring, in real services: debugpy with a client of its protocol, pudb on the terminal."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest

from devswap.sandbox import changes
from devswap.sandbox.changes import HARMLESS
from tests.dap import Editor
from tests.integration.asking import SERVICE, begin, begin_calls
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import PROGRAM, Desk, seen
from tests.integration.test_foreground import SETTINGS, stop
from tests.integration.web import (
    EDITED,
    application,
    ask,
    edited_paste,
    heat,  # noqa: F401 - a fixture
    keystone,  # noqa: F401 - a fixture
    stopping_tree,
)

pytestmark = pytest.mark.sandbox

METHOD = f"{SERVICE}.list_resource_types"
SOURCE = "heat/engine/service.py"
RAISES = "        if type_name == 'raises': raise RuntimeError('that nobody handles')"


def written(checkout: Path) -> dict[str, Any]:
    """The entry of launch.json, as the editor reads it."""
    (entry,) = json.loads((checkout / ".vscode/launch.json").read_text())["configurations"]
    found: dict[str, Any] = entry
    return found


def line_of(path: Path, text: str) -> int:
    (line,) = [number for number, each in enumerate(path.read_text().splitlines(), 1) if text in each]
    return line


def assert_in_the_overlay_only(cloud: Cloud, name: str) -> None:
    places = f"/run/devswap/*/*/overlay/lib/*/*/{name} /openstack/venvs/*/lib/*/*/{name}"
    found = cloud.sh(f"ls -d {places} 2>/dev/null || true").split()
    assert [each.startswith("/run/devswap/") for each in found] == [True]


@pytest.fixture
def tree(cloud: Cloud, desk: Desk, whole: None) -> Path:
    """Of heat, whose method raises what nobody handles where it is asked for `raises`."""
    found = desk.own_tree("debugged")
    text = (found / SOURCE).read_text()
    before, method, after = text.partition("    def list_resource_types(")
    head, documented, body = after.partition('        """\n')
    (found / SOURCE).write_text(
        before + method + head + documented + f"{RAISES}\n        asked_for = type_name\n" + body
    )
    return found


@pytest.mark.eras("current")
def test_an_editor_stops_a_worker_of_heat_engine_and_lets_it_go_on(cloud: Cloud, desk: Desk, tree: Path) -> None:
    chosen = ("--debugger", "debugpy", "--write-launch", ".vscode", "--break", METHOD, "--post-mortem")
    told = desk.checkout(str(tree), "--wait", "200", *chosen).stderr
    entry = written(tree)
    assert json.dumps(entry, indent=2) in told
    assert entry["connect"] == {"host": cloud.containers[cloud.heat], "port": 5678}
    assert_in_the_overlay_only(cloud, "debugpy")
    main = Editor(entry).attach()
    editor = main.child().attach()

    first = begin_calls(cloud)
    thread, frames = editor.stopped()  # by --break
    assert (frames[0]["source"]["path"], frames[0]["name"]) == (str(tree / SOURCE), "list_resource_types")
    line = line_of(tree / SOURCE, RAISES) + 1
    editor.ask("setBreakpoints", source={"path": str(tree / SOURCE)}, breakpoints=[{"line": line}])
    editor.go_on(thread)
    thread, frames = editor.stopped()  # by the editor's own
    assert frames[0]["line"] == line
    assert editor.evaluate("type_name", frames[0]) == "'OS::Heat::R.*'"
    editor.go_on(thread)
    assert first.communicate(timeout=200)[0].split() == ["3"]

    raises = begin_calls(cloud, name="raises")
    thread, _ = editor.stopped()
    editor.go_on(thread)
    thread, frames = editor.stopped()  # by --post-mortem
    assert frames[0]["line"] == line - 1
    assert editor.evaluate("type_name", frames[0]) == "'raises'"
    editor.go_on(thread)
    assert raises.communicate(timeout=200)[0].split() == ["RuntimeError"]

    editor.leave()
    main.leave()
    assert begin_calls(cloud).communicate(timeout=200)[0].split() == ["3"]
    assert "no client is connected" in desk.devswap("logs", "heat-engine", "--machine", cloud.heat).stdout


@pytest.mark.eras("current")
@pytest.mark.minutes
def test_in_the_background_it_waits_for_an_editor_as_long_as_that_takes(cloud: Cloud, desk: Desk, tree: Path) -> None:
    desk.checkout(str(tree), "--wait", "200", "--debugger", "debugpy", "--write-launch", ".vscode")
    entry = written(tree)
    waiting = ("run", "heat-engine", "--machine", cloud.heat, "--detach", "--wait", "2", "--wait-for-client")
    with desk.start(*waiting) as started:
        listens = lambda: "it waits for a client" in desk.devswap("logs", "heat-engine", "--machine", cloud.heat).stdout  # noqa: E731
        wait_until(listens, "debugpy listens")
        time.sleep(5)
        assert started.poll() is None
        editor = Editor(entry).attach()
        editor.child().attach()  # it waits for that, since it was forked while somebody was attached
        out, err = started.communicate(timeout=250)
    assert started.returncode == 0, out + err
    assert f"heat-engine waits until an editor has attached to {cloud.containers[cloud.heat]}:5678" in err
    assert "heat-engine answers from" in err
    editor.leave()


@pytest.mark.eras("2015")
@pytest.mark.usefixtures("whole")
def test_debugpy_makes_way_for_eventlet_and_says_so(cloud: Cloud, desk: Desk) -> None:
    told = desk.take(HARMLESS, "--wait", "200", "--debugger", "debugpy", "--break", METHOD).stderr
    assert "debugpy does not listen in heat-engine: it makes way for eventlet" in told
    assert "VS Code" not in told
    said = cloud.sh("journalctl --unit heat-engine --output cat --since -5min")
    assert "debugpy listens no more: it does not work with eventlet" in said
    assert begin_calls(cloud).communicate(timeout=200)[0].split() == ["3"]
    assert ":5678 " not in cloud.sh("ss -Hltn")


@pytest.mark.eras("current")
def test_an_editor_stops_a_request_to_heat_api_which_no_save_starts_again_meanwhile(
    cloud: Cloud,
    desk: Desk,
    heat: str,  # noqa: F811
) -> None:
    tree = stopping_tree(desk)
    source = tree / "heat/api/versions.py"
    slow = "        if 'stop' in req.query_string: __import__('time').sleep(4)\n"
    desk.edit(source, "        version_objs = [\n", f"{slow}        version_objs = [\n")
    chosen = ("--reload", "--debugger", "debugpy", "--write-launch", ".vscode")
    terminal = desk.terminal("checkout", "heat-api", str(tree), "--machine", heat, *chosen, columns=200)
    terminal.timeout = 240  # on a host that is busy with other tests
    terminal.expect("answers from")
    editor = Editor(written(tree)).attach()
    asked = begin(cloud, heat, "python3", "-c", asking(cloud.containers[heat], 8004, "/?stop"))
    thread, frames = editor.stopped()
    assert frames[0]["source"]["path"] == str(source)
    assert "stop" in editor.evaluate("req.query_string", frames[0])
    editor.go_on(thread)
    assert asked.communicate(timeout=200)[0].split()[0] == "300"

    asked = begin(cloud, heat, "python3", "-c", asking(cloud.containers[heat], 8004, "/?stop"))
    thread, _ = editor.stopped()
    source.write_text(source.read_text())
    assert terminal.expect(["starting heat-api again", pexpect.TIMEOUT], timeout=2) == 1
    editor.ask("next", threadId=thread)
    assert terminal.expect(["starting heat-api again", pexpect.TIMEOUT], timeout=3) == 1, "it is in the midst of a step"
    thread, _ = editor.stopped()
    editor.go_on(thread)
    terminal.expect("heat/api/versions.py: starting heat-api again")
    terminal.expect("answers from .*; since the save")
    asked.communicate(timeout=200)
    with edited_paste(cloud, desk, heat):
        terminal.expect("a file of /etc: starting heat-api again")
        terminal.expect("answers from .*; since the save")
        assert ask(cloud, heat, 8004, EDITED).startswith("200 ")
        stop(terminal)
    desk.devswap("restore", "heat-api", "--machine", heat)


@pytest.mark.eras("2015")
@pytest.mark.minutes
def test_an_editor_stops_a_request_to_keystone(cloud: Cloud, desk: Desk, keystone: str) -> None:  # noqa: F811
    change = changes.change("keystone", HARMLESS, cloud.era)
    taking = ("checkout", "keystone", f"review/{change.number}", "--machine", keystone, "--detach", "--wait", "200")
    desk.devswap(*taking, "--debugger", "debugpy", "--write-launch", ".vscode")
    source = application(desk, change)
    line = line_of(source, "response.headers['Vary'] = 'X-Auth-Token'")
    entry = written(source.parents[3])
    editor = Editor(entry).attach((str(source), line))
    asked = begin(cloud, keystone, "python3", "-c", asking(cloud.containers[keystone], 5000, "/v3"))
    thread, frames = editor.stopped()
    assert (frames[0]["source"]["path"], frames[0]["line"]) == (str(source), line)
    assert "Response" in editor.evaluate("type(response).__name__", frames[0])
    editor.go_on(thread)
    assert asked.communicate(timeout=200)[0].split()[0] == "200"
    editor.leave()
    desk.devswap("restore", "keystone", "--machine", keystone)


def asking(host: str, port: int, path: str) -> str:
    return f"""
import http.client
c = http.client.HTTPConnection("{host}", {port}, timeout=120)
c.request("GET", "{path}")
print(c.getresponse().status)
"""


@pytest.mark.minutes("2015")
def test_pudb_has_the_screen_in_the_main_process_in_a_worker_and_where_an_exception_came_from(
    cloud: Cloud, desk: Desk, tree: Path
) -> None:
    terminal = desk.shell()
    terminal.timeout = 240  # on a host that is busy with other tests
    terminal.setwinsize(40, 120)
    terminal.sendline("stty -g")
    terminal.expect(SETTINGS)
    before = seen(terminal)
    places = f"--break heat.cmd.engine:main --break {METHOD} --post-mortem"
    terminal.sendline(f"{PROGRAM} checkout heat-engine {tree} --machine {cloud.heat} --debugger pudb {places}")
    drawn(terminal, "def", "main")
    assert_in_the_overlay_only(cloud, "pudb")
    terminal.send("c")
    terminal.expect("answers from")
    asked = begin_calls(cloud)
    drawn(terminal, "list_resource_types")
    terminal.send("c")
    assert asked.communicate(timeout=200)[0].split() == ["3"]
    raises = begin_calls(cloud, name="raises")
    drawn(terminal, "list_resource_types")
    terminal.send("c")
    drawn(terminal, "raise", "RuntimeError", header="POST-MORTEM MODE")
    terminal.send("q")
    assert raises.communicate(timeout=200)[0].split() == ["RuntimeError"]
    terminal.sendcontrol("c")
    terminal.expect("is stopped, and still swapped")
    terminal.sendline("stty -g")
    terminal.expect(SETTINGS)
    assert seen(terminal) == before
    assert cloud.engine_processes() == []
    terminal.close()


def drawn(terminal: Any, *words: str, header: str = "PuDB") -> None:
    """Its header, its other parts and the source that it stands in; words come with their colours between them."""
    terminal.expect(header)
    terminal.expect("ariables")
    text = r"(?:\x1b\[[0-9;]*m|\s)*".join(map(re.escape, words))
    terminal.expect(text)
