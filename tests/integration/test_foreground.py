"""Development on a real terminal: what a person sees, types and breaks."""

from __future__ import annotations

import os
import re
import signal
import time

import pexpect
import pytest

from devswap.sandbox.changes import DIES, HARMLESS
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import PROGRAM, Desk, seen

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]

PROMPT = r"\(Pdb\) "
MAIN = "def main():\n"
SETTINGS = r"([0-9a-f]+(?::[0-9a-f]+){10,})\r"


def take(desk: Desk, ref: str) -> pexpect.spawn[str]:
    return desk.terminal("checkout", "heat-engine", ref, "--machine", desk.cloud.heat)


def harmless(desk: Desk) -> str:
    return f"review/{desk.cloud.change(HARMLESS).number}"


def alive(terminal: pexpect.spawn[str]) -> bool:
    """Also of one whose terminal is closed already, of which pexpect itself does not speak any more."""
    found: bool = terminal.ptyproc.isalive()  # type: ignore[attr-defined]
    return found


def hang_up(terminal: pexpect.spawn[str]) -> None:
    """Its window is closed."""
    terminal.ptyproc.fileobj.close()  # type: ignore[attr-defined]
    terminal.closed = True


def with_breakpoint(desk: Desk) -> str:
    tree = desk.own_tree("stops")
    desk.edit(tree / "heat/cmd/engine.py", MAIN, f"{MAIN}    breakpoint()\n")
    return str(tree)


def stop(terminal: pexpect.spawn[str], *, code: int = 0, seconds: float = 20.0) -> str:
    """Ctrl-C; the end must come with `code` in time. What was shown until then."""
    began = time.monotonic()
    terminal.sendcontrol("c")
    terminal.expect(pexpect.EOF, timeout=seconds + 20)
    took = time.monotonic() - began
    terminal.close()
    shown: str = terminal.before or ""
    assert took < seconds, f"it took {took:.1f} s to end: {shown}"
    assert terminal.exitstatus == code, shown
    return shown


def test_logs_are_seen_and_ctrl_c_ends_it_with_nothing_left(cloud: Cloud, desk: Desk) -> None:
    mark = cloud.change(HARMLESS).patchsets[-1].shows
    terminal = take(desk, harmless(desk))
    terminal.expect(f"Random strings carry the mark {mark}")
    terminal.expect(r"devswap: heat-engine answers from .*; outage \d+\.\d s")
    assert cloud.create_stack().word.startswith(mark)
    last = stop(terminal)
    assert cloud.engine_processes() == []
    assert "heat-engine is stopped, and still swapped" in last
    (again,) = [line for line in last.splitlines() if "again: devswap run heat-engine" in line]
    assert "back: devswap restore heat-engine" in again
    assert "heat-engine in" in (shown := desk.devswap("status").stdout)
    assert "stopped" in shown
    desk.devswap("status", "--check", code=1)


def test_run_starts_it_again_and_an_edit_is_in_force(cloud: Cloud, desk: Desk) -> None:
    mark = cloud.change(HARMLESS).patchsets[-1].shows
    terminal = take(desk, harmless(desk))
    terminal.expect("answers from")
    stop(terminal)
    checkout = desk.person.checkout(f"review~{cloud.change(HARMLESS).number}")
    source = checkout / "heat/engine/resources/openstack/heat/random_string.py"
    desk.edit(source, f"MARK = '{mark}'", "MARK = 'edited-'")
    again = desk.terminal("run", "heat-engine", "--machine", cloud.heat)
    again.expect("answers from")
    assert cloud.create_stack().word.startswith("edited-")
    stop(again)
    desk.devswap("run", "heat-engine", "--machine", cloud.heat, "--detach")
    assert cloud.create_stack().word.startswith("edited-")
    desk.restore()
    desk.person.run("git", "checkout", "--quiet", ".", cwd=checkout)


def test_a_breakpoint_gives_a_prompt_that_ctrl_c_does_not_end(cloud: Cloud, desk: Desk) -> None:
    terminal = take(desk, with_breakpoint(desk))
    terminal.expect(PROMPT)
    terminal.sendline("p 6 * 7, __file__")
    terminal.expect(r"\(42, '/run/devswap/heat-engine/\d+/checkout/heat/cmd/engine.py'\)")
    terminal.expect(PROMPT)
    terminal.sendcontrol("c")
    terminal.expect(PROMPT)
    terminal.sendcontrol("c")
    terminal.expect(PROMPT)
    terminal.sendline("p 'still ' + 'here'")
    terminal.expect("still here")
    terminal.expect(PROMPT)
    terminal.sendline("c")
    terminal.expect("answers from")
    cloud.create_stack()
    stop(terminal)
    assert cloud.engine_processes() == []
    before, mark, said = desk.devswap("logs", "heat-engine", "--machine", cloud.heat, "-n", "2000").stdout.rpartition(
        "---- development, from "
    )
    assert mark
    assert "still here" not in before + said, "what is said at a prompt is in no log"
    assert "Stack CREATE completed successfully" in said


def test_the_service_sees_the_size_of_the_window_and_each_change_of_it(cloud: Cloud, desk: Desk) -> None:
    terminal = take(desk, with_breakpoint(desk))
    terminal.expect(PROMPT)
    for rows, columns in ((24, 80), (50, 132), (31, 97)):
        terminal.setwinsize(rows, columns)
        time.sleep(0.5)
        terminal.sendline("p __import__('os').get_terminal_size()")
        terminal.expect(rf"columns={columns}, lines={rows}\)")
        terminal.expect(PROMPT)
    terminal.sendline("c")
    terminal.expect("answers from")
    stop(terminal)


def test_editing_keys_work_at_the_prompt(cloud: Cloud, desk: Desk) -> None:
    terminal = take(desk, with_breakpoint(desk))
    terminal.expect(PROMPT)
    terminal.send("p 111x\x7f + 222\r")  # backspace
    terminal.expect("333")
    terminal.expect(PROMPT)
    terminal.sendline("p __import__('os').isatty(0), open('/dev/tty').isatty()")
    terminal.expect(r"\(True, True\)")
    terminal.expect(PROMPT)
    terminal.sendline("q")  # ends the debugging, not the service
    terminal.expect("answers from")
    stop(terminal)


def test_a_service_that_ends_by_itself_leaves_exit_3_and_says_how_to_go_on(cloud: Cloud, desk: Desk) -> None:
    terminal = take(desk, f"review/{cloud.change(DIES).number}")
    terminal.expect(cloud.change(DIES).patchsets[-1].shows)
    terminal.expect("heat-engine ended by itself")
    terminal.expect("devswap run heat-engine")
    terminal.expect("devswap restore heat-engine")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 3
    assert cloud.engine_processes() == []


@pytest.mark.eras("current")
def test_in_the_background_at_a_terminal_what_does_not_come_up_is_rolled_back(cloud: Cloud, desk: Desk) -> None:
    tree = desk.own_tree("ends")
    desk.edit(tree / "heat/cmd/engine.py", MAIN, f"{MAIN}    raise SystemExit(7)\n")
    terminal = desk.terminal("checkout", "heat-engine", str(tree), "--machine", cloud.heat, "--detach")
    terminal.timeout = 240  # on a host that is busy with other tests
    terminal.expect("heat-engine does not serve: it ended with code 7")
    terminal.expect("production is back: [0-9]+ facts identical")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1
    assert "there is no terminal" in desk.devswap("attach").stdout


@pytest.mark.parametrize("how", ["killed", "hung up"])
def test_development_ends_with_its_devswap(cloud: Cloud, desk: Desk, how: str) -> None:
    terminal = take(desk, harmless(desk))
    terminal.expect("answers from")
    assert cloud.engine_processes() != []
    if how == "killed":
        assert terminal.pid is not None
        os.kill(terminal.pid, signal.SIGKILL)
    else:
        hang_up(terminal)
    wait_until(lambda: cloud.engine_processes() == [], "development ends", seconds=10)
    wait_until(lambda: not alive(terminal), "devswap ends", seconds=10)
    assert ": stopped, not serving" in desk.devswap("status").stdout
    assert "facts identical" in desk.restore().stdout


@pytest.mark.parametrize(
    "how",
    [
        *(pytest.param(how, marks=pytest.mark.minutes("2015")) for how in ("killed", "hung up")),
        *(pytest.param(how, marks=pytest.mark.minutes("current")) for how in ("Ctrl-C", "ends by itself")),
    ],
)
def test_production_comes_back_by_itself_where_that_was_asked_for(cloud: Cloud, desk: Desk, how: str) -> None:
    change = cloud.change(DIES if how == "ends by itself" else HARMLESS)
    at = ("--machine", cloud.heat, "--restore-on-exit")
    terminal = desk.terminal("checkout", "heat-engine", f"review/{change.number}", *at)
    terminal.expect(change.patchsets[-1].shows if how == "ends by itself" else "answers from")
    assert terminal.pid is not None
    if how == "killed":
        os.kill(terminal.pid, signal.SIGKILL)
    elif how == "hung up":
        hang_up(terminal)
    elif how == "Ctrl-C":
        assert "production is back" in stop(terminal, seconds=60)
    else:
        terminal.expect("production is back")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0
    wait_until(lambda: "nothing is swapped" in desk.devswap("status").stdout, "production is back", seconds=60)
    assert "nothing is swapped" in desk.devswap("restore").stdout
    wait_until(lambda: not alive(terminal), "devswap ends", seconds=10)
    cloud.wait_for_production()


def test_ctrl_c_while_it_prepares_costs_production_nothing(cloud: Cloud, desk: Desk) -> None:
    before = cloud.start_of_production()
    terminal = take(desk, harmless(desk))
    terminal.expect("taking the fingerprint")
    assert "interrupted" in stop(terminal, code=130)
    assert cloud.start_of_production() == before
    assert "nothing is swapped" in desk.devswap("restore").stdout


@pytest.mark.eras("current")
def test_ctrl_c_of_a_run_in_the_background_before_it_answers_leaves_all_as_it_was(cloud: Cloud, desk: Desk) -> None:
    before = cloud.start_of_production()
    line = ("--machine", cloud.heat, "--detach")
    terminal = desk.terminal("checkout", "heat-engine", harmless(desk), *line)
    terminal.expect("taking the fingerprint")
    assert "interrupted" in stop(terminal, code=130)
    assert cloud.start_of_production() == before
    tree = desk.own_tree("deaf")
    desk.edit(
        tree / "heat/cmd/engine.py", MAIN, f"{MAIN}    print('hears ' + 'nothing'); import time; time.sleep(600)\n"
    )
    terminal = desk.terminal("checkout", "heat-engine", str(tree), *line)
    terminal.expect("hears nothing")
    last = stop(terminal, code=130, seconds=60)
    assert re.search(r"interrupted: bringing production back.*production is back: \d+ facts identical", last, re.DOTALL)
    assert "nothing is swapped" in desk.devswap("restore").stdout
    assert "there is no terminal" in desk.devswap("attach").stdout
    cloud.create_stack()


def test_the_terminal_is_left_as_it_was_found(cloud: Cloud, desk: Desk) -> None:
    terminal = desk.shell()
    terminal.sendline("stty -g")
    terminal.expect(SETTINGS)
    before = seen(terminal)
    terminal.sendline(f"{PROGRAM} checkout heat-engine {harmless(desk)} --machine {cloud.heat}")
    terminal.expect("answers from")
    terminal.sendcontrol("c")
    terminal.expect("again: devswap run")
    terminal.sendline("stty -g")
    terminal.expect(SETTINGS)
    assert seen(terminal) == before
    terminal.close()
