"""The debugger in a real service: in RPC methods that forked workers handle, on one terminal."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pexpect
import pytest

from devswap.sandbox.changes import HARMLESS
from tests.integration.asking import SERVICE, begin, begin_calls
from tests.integration.cloud import TEMPLATE, Cloud, swaps, wait_until
from tests.integration.people import Desk, seen
from tests.integration.test_foreground import PROMPT, stop

pytestmark = pytest.mark.sandbox

NOTIFY = "oslo_messaging_notifications.driver"
ANSWERS = r"answers from .*; since the save \d+\.\d s"
CREATE = '. /root/openrc; cat >/root/debugger.yaml; exec openstack stack create -t /root/debugger.yaml "$1"'


def process(terminal: pexpect.spawn[str]) -> str:
    terminal.expect(r"devswap: process (\d+), thread \S+ has stopped;")
    return seen(terminal)


@pytest.mark.usefixtures("whole")
def test_a_dump_of_production_is_py_spys_which_the_service_does_not_notice(cloud: Cloud, desk: Desk) -> None:
    there, started = ("--machine", cloud.heat), cloud.start_of_production()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shown = desk.devswap("dump", "heat-engine", *there, environment={"PATH": path}).stdout
    sections = shown.split("== process ")[1:]
    assert sections
    for section in sections:
        assert "Python v3" in section, shown
        assert re.search(r"^Thread \d+ \(", section, re.MULTILINE), shown
    assert cloud.start_of_production() == started
    without = os.pathsep.join(each for each in os.environ["PATH"].split(":") if not Path(each, "py-spy").exists())
    told = desk.devswap("dump", "heat-engine", *there, environment={"PATH": without}).stdout
    assert told.count("py-spy is not installed on this host (pip install py-spy)") == len(sections)


def test_a_dump_shows_what_each_process_does(cloud: Cloud, taken: Desk) -> None:
    shown = taken.devswap("dump", "heat-engine", "--machine", cloud.heat).stdout
    report, worker = shown.index("Guru Meditation"), shown.index("== process ")
    assert "Threads" in shown[report:worker]
    assert shown.count("most recent call first") >= shown.count("== process ") >= 1
    assert cloud.show("ActiveState")["ActiveState"] == "active"


def test_workers_stop_at_breakpoints_in_turn_and_where_an_exception_came_from(cloud: Cloud, taken: Desk) -> None:
    where = ("--break", f"{SERVICE}.create_stack if stack_name == 'debugger'")
    also = ("--break", f"{SERVICE}.list_resource_types", "--workers", "2", "--set", "DEFAULT.max_json_body_size=7")
    several = ("--set", f"{NOTIFY}=log", "--set", f"{NOTIFY}=noop")
    terminal = taken.terminal("run", "heat-engine", "--machine", cloud.heat, "--post-mortem", *where, *also, *several)
    terminal.expect("answers from")
    cloud.wait_for_api()
    shown = taken.devswap("status").stdout
    assert f"set: DEFAULT.max_json_body_size=7, {NOTIFY}=log, {NOTIFY}=noop, 2 workers, post-mortem" in shown
    assert f"breakpoint: {where[1]}" in shown

    created = begin(cloud, cloud.container("-utility-"), "sh", "-c", CREATE, "sh", "debugger", text=TEMPLATE)
    process(terminal)
    terminal.expect(r"the caller of this RPC method waits \d+ s")
    terminal.expect(PROMPT)
    terminal.sendline(f"p stack_name, cfg.CONF.max_json_body_size, cfg.CONF.{NOTIFY}")
    terminal.expect(r"\('debugger', 7, \[.*'log', 'noop'\]\)")
    terminal.sendcontrol("c")
    terminal.expect(PROMPT)
    terminal.sendline("template = 5")
    terminal.sendline("c")
    terminal.expect("has stopped at [A-Z][A-Za-z]+: ")  # the one that nobody expected
    terminal.expect(PROMPT)
    terminal.sendline("q")
    assert "ERROR" in created.communicate(timeout=60)[0]

    asked = begin_calls(cloud, 2)
    first, said = None, [r"process (\d+), thread \S+ has stopped;", "too, and waits for this prompt's end"]
    for _ in range(2):  # either may come first
        if terminal.expect([*said]) == 0:
            first = seen(terminal)
    assert first
    terminal.sendline("p 'still' + 'here'")
    terminal.expect("stillhere")
    terminal.expect(PROMPT)
    terminal.sendcontrol("d")
    assert process(terminal) != first
    terminal.expect(PROMPT)
    terminal.sendline("c")
    assert len(asked.communicate(timeout=60)[0].split()) == 2
    stop(terminal)
    assert cloud.engine_processes() == []
    once = ("--no-break", "--no-post-mortem", "--set", f"{NOTIFY}=noop")
    taken.devswap("run", "heat-engine", "--machine", cloud.heat, "--detach", *once)
    told = cloud.sh("systemctl cat heat-engine")
    assert "OS_DEFAULT__MAX_JSON_BODY_SIZE=7" in told
    # a variable would be taken for a list of its letters
    assert "__DRIVER" not in told
    assert "driver = noop" in told


def test_a_save_of_code_or_configuration_starts_it_again_and_one_that_cannot_be_compiled_is_said(
    cloud: Cloud, taken: Desk
) -> None:
    (swap,) = [each for each in swaps(taken.devswap("status", "--json").stdout) if each["machine"].endswith(cloud.heat)]
    source = Path(swap["checkout"]) / "heat/engine/service.py"
    text = source.read_text()
    terminal = taken.terminal("run", "heat-engine", "--machine", cloud.heat, "--no-break", "--reload")
    terminal.expect("answers from")
    source.write_text(f"{text}\nx = (\n")
    terminal.expect("was never closed; waiting for the next save")
    source.write_text(f"{text}\nprint('saved' + 'again', flush=True)\n")
    terminal.expect("heat/engine/service.py: starting heat-engine again")
    terminal.expect("savedagain")
    source.write_text(text)
    terminal.expect("starting heat-engine again")
    terminal.expect(ANSWERS)
    saves_of_configuration(cloud, taken, terminal, Path(swap["checkout"]))
    stop(terminal)


def saves_of_configuration(cloud: Cloud, taken: Desk, terminal: pexpect.spawn[str], tree: Path) -> None:
    """Of a paste file in the checkout; of its own copy of a file of /etc, and that there is none any more."""
    paste = tree / "etc/heat/api-paste.ini"
    text = paste.read_text()
    for saved in (f"{text}# saved\n", text):
        paste.write_text(saved)
        terminal.expect(r"etc/heat/api-paste\.ini: starting heat-engine again")
        terminal.expect(ANSWERS)
    at, path = ("heat-engine", "--machine", cloud.heat), "/etc/heat/heat.conf"
    production = cloud.sh(f"cat {path}")
    for edit, first in (((*at, "heat.conf", "--from", "-"), "# saved, too"), ((*at, "--drop"), production[:12])):
        with taken.start("edit", *edit, feed=f"# saved, too\n{production}\n") as process:
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
        terminal.expect("a file of /etc: starting heat-engine again")
        terminal.expect(ANSWERS)
        assert in_its_place(cloud, f"cat {path}").startswith(first)
        assert cloud.sh(f"cat {path}") == production


def in_its_place(cloud: Cloud, command: str) -> str:
    """What a command shows where heat-engine's process sees its files."""
    pid = cloud.show("MainPID")["MainPID"]
    return cloud.sh(f"nsenter -t {pid} -m {command}")


def test_a_lost_connection_is_come_back_to_at_the_very_same_prompt(cloud: Cloud, taken: Desk) -> None:
    there = ("heat-engine", "--machine", cloud.heat)
    change = f"review/{cloud.change(HARMLESS).number}"
    stops = ("--no-break", "--break", f"{SERVICE}.list_resource_types")
    begun = taken.terminal("checkout", "heat-engine", change, "--machine", cloud.heat, "--detach", *stops)
    begun.timeout = 240  # on a host that is busy with other tests
    begun.expect("answers from")
    begun.expect("in the background; devswap attach heat-engine comes back")
    begun.expect(pexpect.EOF)
    asked = begin_calls(cloud, 2)
    first = taken.terminal("attach", *there)
    first.expect(PROMPT)
    first.sendline("kept = 'still' + 'there'")
    first.expect(PROMPT)
    assert f"{taken.person.name} on pts/" in taken.devswap("attach").stdout
    first.ptyproc.fileobj.close()  # type: ignore[attr-defined]
    first.closed = True
    wait_until(lambda: "nobody" in taken.devswap("attach").stdout, "the lost one is gone", seconds=20)
    again = taken.terminal("attach", *there)
    again.expect(PROMPT)
    again.sendline("p kept")
    again.expect("'stillthere'")
    for _ in range(2):  # both calls have stopped
        again.expect(PROMPT)
        again.sendline("c")
    assert len(asked.communicate(timeout=60)[0].split()) == 2
    last = stop(again)
    assert "heat-engine is stopped, and still swapped" in last
    assert "again: devswap run heat-engine" in last
    assert "there is no terminal" in taken.devswap("attach").stdout
    assert cloud.engine_processes() == []
