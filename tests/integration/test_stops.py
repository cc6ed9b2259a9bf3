"""The prompt wherever code stops: in the source, in a library, at a line, in a step, where an exception came from."""

from __future__ import annotations

import pexpect
import pytest

from devswap.sandbox.changes import HARMLESS
from tests.integration.asking import SERVICE, begin, begin_calls
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import PROGRAM, Desk, seen
from tests.integration.test_foreground import PROMPT, SETTINGS, stop
from tests.integration.test_other_debuggers import SOURCE, line_of
from tests.integration.web import heat, stopping_tree  # noqa: F401 - a fixture is among them

pytestmark = pytest.mark.sandbox

LIBRARY = "oslo.context"
LINES = """        if type_name == 'trace':
            import pdb; pdb.set_trace()
            _takes_long()
"""
LONG = """

def _takes_long():
    import sys, time
    while not hasattr(sys, 'go_on'):
        time.sleep(0.1)
"""
ONCE = "not globals().get('met') and not globals().update(met=True)"


@pytest.mark.usefixtures("whole")
def test_set_trace_and_long_steps_and_lines_that_are_named_in_heat_engine_and_in_a_library(
    cloud: Cloud, desk: Desk
) -> None:
    tree, number = desk.own_tree("stops"), cloud.change(HARMLESS, LIBRARY).number
    text = (tree / SOURCE).read_text()
    before, method, after = text.partition("    def list_resource_types(")
    head, documented, body = after.partition('        """\n')
    (tree / SOURCE).write_text(before + method + head + documented + LINES + body + LONG)
    there = ("heat-engine", "--machine", cloud.heat)
    taking = ("checkout", there[0], str(tree), *there[1:], "--with", f"{LIBRARY}=review/{number}")
    terminal = patient(desk.terminal(*taking))
    terminal.expect("answers from")
    asked = begin_calls(cloud, name="trace")
    terminal.expect("-> _takes_long")
    terminal.expect(PROMPT)
    terminal.sendline("n")
    terminal.expect_exact("n\r\n")
    with pytest.raises(pexpect.TIMEOUT):
        terminal.expect(PROMPT, timeout=2)
    terminal.sendcontrol("c")
    terminal.expect("stops at its next line")
    terminal.expect(r"_takes_long\(\)")
    terminal.expect(PROMPT)
    terminal.sendline("sys.go_on = True")
    terminal.expect(PROMPT)
    terminal.sendline("c")
    assert asked.communicate(timeout=200)[0].split() == ["0"]
    stop(terminal)

    library = desk.person.checkout(f"review~{number}", LIBRARY)
    line = line_of(tree / SOURCE, "if type_name == 'trace':")
    at_line = line_of(library / "oslo_context/context.py", "self.auth_token = auth_token")
    unloaded = "heat.api.openstack.v1.stacks:StackController.index"
    stops = (f"{SOURCE}:{line} if type_name == 'line'", f"oslo_context/context.py:{at_line} if {ONCE}", unloaded)
    refused = desk.devswap("run", *there, "--break", "oslo_log.nothing:x", code=1).stderr
    assert "heat-engine has no module oslo_log.nothing that is written in Python" in refused
    terminal = patient(desk.terminal("run", *there, *(word for each in stops for word in ("--break", each))))
    at = [rf"with/oslo-context/oslo_context/context\.py\({at_line}\)", "answers from"]
    first = terminal.expect([*at])
    if first == 0:
        go_on(terminal)
        terminal.expect("answers from")
    asked = begin_calls(cloud, name="line")
    if first != 0:
        terminal.expect(at[0])
        go_on(terminal)
    terminal.expect(rf"{SOURCE}\({line}\)list_resource_types")
    go_on(terminal)
    assert asked.communicate(timeout=200)[0].split() == ["0"]
    shown = desk.devswap("status").stdout
    assert f"breakpoint: {stops[0]}\n" in shown
    assert f"breakpoint: {unloaded} (its module is not loaded so far)" in shown
    stop(terminal)


def patient(terminal: pexpect.spawn[str]) -> pexpect.spawn[str]:
    """On a host that is busy with other tests it takes long to prepare."""
    terminal.timeout = 240
    return terminal


def go_on(terminal: pexpect.spawn[str]) -> None:
    terminal.expect(PROMPT)
    terminal.sendline("c")


@pytest.mark.usefixtures("whole")
def test_the_terminal_is_sane_after_a_worker_was_killed_at_its_prompt(cloud: Cloud, desk: Desk) -> None:
    terminal = patient(desk.shell())
    terminal.sendline("stty -g")
    terminal.expect(SETTINGS)
    before = seen(terminal)
    ref = f"review/{cloud.change(HARMLESS).number}"
    stops = f"--break {SERVICE}.list_resource_types"
    terminal.sendline(f"{PROGRAM} checkout heat-engine {ref} --machine {cloud.heat} {stops}")
    terminal.expect("answers from")
    asked = begin_calls(cloud)
    terminal.expect(r"devswap: process (\d+)")
    worker = seen(terminal)
    terminal.expect(PROMPT)
    cloud.sh(f"kill -9 {worker}")
    if cloud.era == "2015":  # the only process
        terminal.expect("heat-engine ended by itself")
    else:
        terminal.expect("Starting engine_worker")  # another one
        terminal.sendcontrol("c")
        terminal.expect("is stopped, and still swapped")
    cloud.sh("pkill -f '[l]ist_resource_types'")  # nobody answers it
    asked.communicate(timeout=60)
    terminal.sendline("stty -g")
    terminal.expect(SETTINGS)
    assert seen(terminal) == before
    wait_until(lambda: cloud.engine_processes() == [], "development has ended", seconds=20)
    terminal.close()


def test_an_exception_that_goes_up_to_the_server_of_an_application_opens_the_prompt(
    cloud: Cloud,
    desk: Desk,
    heat: str,  # noqa: F811
) -> None:
    tree = stopping_tree(desk)
    desk.edit(tree / "heat/api/versions.py", "breakpoint()", "raise RuntimeError('in a request')")
    terminal = patient(desk.terminal("checkout", "heat-api-cfn", str(tree), "--machine", heat, "--post-mortem"))
    terminal.expect("answers from")
    script = f"""
import http.client
c = http.client.HTTPConnection("{cloud.containers[heat]}", 8000, timeout=120)
c.request("GET", "/?stop")
print(c.getresponse().status)
"""
    asked = begin(cloud, heat, "python3", "-c", script)
    terminal.expect("has stopped at RuntimeError: in a request")
    terminal.expect(PROMPT)
    terminal.sendline("p req.query_string")
    terminal.expect("'stop'")
    terminal.expect(PROMPT)
    terminal.sendline("q")
    assert not asked.communicate(timeout=200)[0].startswith("200")
    stop(terminal)
    desk.devswap("restore", "heat-api-cfn", "--machine", heat)
