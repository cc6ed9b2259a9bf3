"""Commands, shells and logs beside a service that is taken over."""

from __future__ import annotations

import json
import re
import time

import pexpect
import pytest

from devswap.sandbox.changes import HARMLESS
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk, seen

pytestmark = pytest.mark.sandbox


@pytest.fixture
def at(taken: Desk) -> tuple[str, ...]:
    return ("heat-engine", "--machine", taken.cloud.heat)


@pytest.mark.parametrize("code", [0, 1, 3, 77, 255])
def test_exec_ends_with_the_code_of_its_command(taken: Desk, at: tuple[str, ...], code: int) -> None:
    taken.devswap("exec", *at, "--", "sh", "-c", f"exit {code}", code=code)


def test_exec_runs_as_the_services_user_in_the_checkout_with_the_overlays_python(
    taken: Desk, at: tuple[str, ...]
) -> None:
    asked = (
        "import os, pwd, sys, heat; print(pwd.getpwuid(os.getuid()).pw_name, os.getcwd(), sys.prefix, heat.__file__)"
    )
    user, folder, prefix, heat = taken.devswap("exec", *at, "--", "python", "-c", asked).stdout.split()
    slot = folder.removesuffix("/checkout")
    assert user == "heat"
    assert slot.startswith("/run/devswap/heat-engine/")
    assert (prefix, heat) == (f"{slot}/overlay", f"{folder}/heat/__init__.py")


def test_exec_finds_the_checkouts_own_tools_and_productions_database(
    cloud: Cloud, taken: Desk, at: tuple[str, ...]
) -> None:
    said = taken.devswap("exec", *at, "--", "heat-manage", "--config-file", "/etc/heat/heat.conf", "db_version")
    assert cloud.sql("SELECT version_num FROM alembic_version") in said.said


def test_exec_passes_its_standard_input_on(taken: Desk, at: tuple[str, ...]) -> None:
    with taken.start("exec", *at, "--", "cat", feed="typed here") as process:
        assert process.communicate(timeout=60)[0] == "typed here"


def test_an_option_of_the_command_is_the_commands(taken: Desk, at: tuple[str, ...]) -> None:
    assert taken.devswap("exec", *at, "--", "echo", "--machine", "-n", "--help").stdout == "--machine -n --help\n"


def test_a_shell_is_a_real_one_in_the_checkout(taken: Desk, at: tuple[str, ...]) -> None:
    shell = taken.terminal("shell", *at)
    shell.expect(r"/checkout\$ ")
    shell.sendline("echo at $(pwd) as $(id -un) on $(tty) end")
    shell.expect(r"at (\S+) as heat on /dev/pts/\d+ end\r")
    assert "/checkout" in seen(shell)
    shell.sendline("sleep 100")
    wait_until(lambda: taken.cloud.sh("pgrep -xf 'sleep 100' || true") != "", "the command runs")
    shell.sendcontrol("c")
    shell.sendline("echo code $?")
    shell.expect("code 130")
    shell.sendline("exit 5")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 5


def test_a_program_that_does_not_exist_is_127_as_in_any_shell(taken: Desk, at: tuple[str, ...]) -> None:
    assert "no-such-program" in taken.devswap("exec", *at, "--", "no-such-program", code=127).stderr


def test_logs_show_development_behind_production_while_it_is_swapped(
    cloud: Cloud, taken: Desk, at: tuple[str, ...]
) -> None:
    mark = f"Random strings carry the mark {cloud.change(HARMLESS).patchsets[-1].shows}"
    shown = taken.devswap("logs", *at, "--lines", "100000").stdout.splitlines()  # debugging says much
    begins = next(number for number, line in enumerate(shown) if line.startswith("---- development, from "))
    assert any(mark in line for line in shown[begins:])
    assert not any(mark in line for line in shown[:begins])
    assert any("heat-engine" in line for line in shown[:begins])
    assert len(taken.devswap("logs", *at, "--lines", "3").stdout.splitlines()) <= 4


def test_status_is_watched_until_ctrl_c(taken: Desk) -> None:
    terminal = taken.terminal("status", "--watch")
    terminal.expect(rf"heat-engine\S* in lxc:{taken.cloud.heat}: \S*running, serving")
    terminal.expect("until Ctrl-C.*until Ctrl-C")
    terminal.sendcontrol("c")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_development_reads_its_own_copies_of_files_of_etc(cloud: Cloud, taken: Desk, at: tuple[str, ...]) -> None:
    production = cloud.sh("cat /etc/heat/heat.conf; ls -A /etc/heat; stat -c '%A %U %G' /etc/heat/heat.conf")
    editor = taken.person.home / "edit"
    taken.person.run(
        "sh", "-c", f'printf \'#!/bin/sh\nsed -i "1i# of $(id -un)" "$1"\n\' > {editor}; chmod +x {editor}'
    )
    taken.devswap("edit", *at, "heat.conf", environment={"SUDO_EDITOR": str(editor)})
    with taken.start("edit", *at, "policy.yaml", "--from", "-", feed="# policy\n") as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    taken.devswap("run", *at, "--detach")
    pid = cloud.sh("systemctl show --value --property=MainPID heat-engine.service").strip()
    seen = cloud.sh(f"nsenter -t {pid} -m head -qn1 /etc/heat/policy.yaml /etc/heat/heat.conf")
    assert seen.splitlines() == ["# policy", f"# of {taken.person.name}"]
    beside = taken.devswap(
        "exec", *at, "--", "sh", "-c", "head -1 /etc/heat/policy.yaml; ls /etc/heat/heat.conf"
    ).stdout
    assert beside.splitlines() == ["# policy", "/etc/heat/heat.conf"]
    assert cloud.sh("cat /etc/heat/heat.conf; ls -A /etc/heat; stat -c '%A %U %G' /etc/heat/heat.conf") == production
    assert "own copy: /etc/heat/policy.yaml\n" in taken.devswap("status").stdout
    assert "+# policy" in taken.devswap("edit", *at, "--diff").stdout
    taken.devswap("edit", *at, "--drop")


@pytest.mark.eras("current")
def test_the_projects_own_tests_run_in_an_overlay_of_their_own(cloud: Cloud, taken: Desk, at: tuple[str, ...]) -> None:
    before = cloud.sh("findmnt --raw --noheadings --output TARGET | grep /run/devswap")
    module = "heat.tests.test_auth_url"
    said = taken.devswap("test", *at, "--", "--no-discover", module).stdout
    assert re.search(r"Passed: [1-9]\d*\n.*Failed: 0", said, re.DOTALL)
    assert cloud.sh("findmnt --raw --noheadings --output TARGET | grep /run/devswap") == before


@pytest.mark.eras("current")
@pytest.mark.minutes
def test_pytest_is_brought_along_where_production_has_none(cloud: Cloud, taken: Desk, at: tuple[str, ...]) -> None:
    asked = ("heat/tests/test_auth_url.py", "-q", "-k", "auth")
    for command in (("exec", *at, "--", "pytest"), ("test", *at, "--runner", "pytest", "--")):
        said = taken.devswap(*command, *asked)
        assert re.search(r"[1-9]\d* passed", said.stdout)
        assert ("heat-engine has no pytest: the tests get one" in said.stderr) == (command[0] == "exec")
    with_it = ("--", "sh", "-c", "ls /openstack/venvs/heat-*/lib/*/site-packages | grep -c ^pytest$ || true")
    assert taken.devswap("exec", *at, *with_it).stdout.strip() == "0"


def test_followed_logs_show_what_comes_and_one_request_is_followed_through_all_services(
    cloud: Cloud, taken: Desk, at: tuple[str, ...]
) -> None:
    follower = taken.terminal("logs", *at, "--follow", "--lines", "1", columns=250)
    wait_until(lambda: bool(follower.read_nonblocking(100)), "the last line")
    name = cloud.create_stack().name
    follower.expect(name)
    follower.sendcontrol("c")
    follower.expect(pexpect.EOF)
    follower.close()
    assert follower.exitstatus == 0
    said = taken.devswap("logs", *at, "--since", "5m", "--grep", name).stdout
    request = re.findall(r"req-[0-9a-f-]{36}", said)[-1]
    shown = taken.devswap("logs", *at, "--request", request, "--since", "5m").stdout.splitlines()
    assert {line[:28].strip() for line in shown} >= {"heat-api", "heat-engine (development)"}
    assert all(request in line for line in shown)
    wait_until(lambda: "journalctl" not in cloud.sh("ps -eo args"), "no reader goes on")


def test_a_shell_that_is_left_open_does_not_keep_restore_waiting(
    cloud: Cloud, taken: Desk, at: tuple[str, ...]
) -> None:
    shell = taken.terminal("shell", *at)
    shell.expect(r"/checkout\$ ")
    began = time.monotonic()
    taken.restore()
    assert time.monotonic() - began < 45
    shell.expect(pexpect.EOF)
    shell.close()
    assert cloud.sh("systemctl list-units --all --plain --no-legend 'devswap*'") == ""
    taken.take(HARMLESS)


def test_diff_shows_commits_files_of_etc_and_options_against_production(
    cloud: Cloud, taken: Desk, at: tuple[str, ...]
) -> None:
    tree = taken.person.checkout(f"review~{cloud.change(HARMLESS).number}")
    paste = (tree / "etc/heat/api-paste.ini").read_text()
    options = (tree / "heat/common/config.py").read_text()
    brought = ("etc/heat/policy.yaml", "etc/heat/rootwrap.conf", "etc/heat/rootwrap.d/heat.filters")
    for name in brought:
        taken.person.run(
            "sh", "-c", 'mkdir -p "$(dirname "$1")"; echo "# new" >"$1"; git add "$1"', "sh", name, cwd=tree
        )
    (tree / "etc/heat/api-paste.ini").write_text(f"{paste}# a line more\n")
    (tree / "heat/common/config.py").write_text(options.replace("'num_engine_workers'", "'engine_processes'"))
    try:
        found = json.loads(taken.devswap("diff", *at, "--json").stdout)
        shown = taken.devswap("diff", *at).stdout
    finally:
        (tree / "etc/heat/api-paste.ini").write_text(paste)
        (tree / "heat/common/config.py").write_text(options)
        taken.person.run("git", "rm", "--quiet", "--force", *brought, cwd=tree)
    assert found["production"] == found["commits"]["base"] == cloud.release()
    assert (found["commits"]["count"], found["commits"]["lacks"]) == (1, 0)
    assert found["commits"]["log"][0].endswith(cloud.change(HARMLESS).subject)
    assert found["commits"]["edited"] == ["etc/heat/api-paste.ini", *brought, "heat/common/config.py"]
    files = {file["path"]: file for file in found["files"]}
    state = ("differs", 1, 0, True)
    assert tuple(files["/etc/heat/api-paste.ini"][name] for name in ("state", "added", "removed", "changed")) == state
    kinds = {file["kind"]: (file["state"], file["changed"]) for file in found["files"] if file["source"] in brought}
    assert kinds == {"policy": ("missing", True), "rootwrap": ("missing", True)}
    for name in brought:
        assert f"/{name.removeprefix('etc/')}" in shown
    assert found["options"]["new"] == ["DEFAULT.engine_processes"]
    assert found["options"]["removed"] == found["options"]["set"] == ["DEFAULT.num_engine_workers"]
    assert found["validation"]["brought"] == ["DEFAULT.num_engine_workers: not known"]
    assert "DEFAULT.num_engine_workers: not known" not in found["validation"]["before"]
    assert "/etc/heat/api-paste.ini: differs from etc/heat/api-paste.ini (+1 -0), changed since" in shown
    assert "  gone: DEFAULT.num_engine_workers" in shown
    assert "oslo-config-validator, of production's files: DEFAULT.num_engine_workers: not known" in shown
