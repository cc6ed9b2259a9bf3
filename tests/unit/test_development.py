"""The drop-in means to systemd exactly what devswap means."""

from __future__ import annotations

import shlex

from hypothesis import given
from hypothesis import strategies as st

from devswap import development
from devswap.development import Command

WORDS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20)


def read_back(line: str) -> list[str]:
    """As systemd.syntax(7) and systemd.unit(5) read quoted words: \\\\ and \\" inside quotes, %% for a percent sign."""
    return [word.replace("%%", "%") for word in shlex.split(line)]


def read_command(line: str) -> list[str]:
    """As systemd.service(5) reads ExecStart=: $$ is a dollar, and a single one would name a variable."""
    words = read_back(line.removeprefix("ExecStart="))
    assert not any("$" in word.replace("$$", "") for word in words)
    return [word.replace("$$", "$") for word in words]


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_any_words_survive_systemds_quoting(argv: list[str]) -> None:
    assert read_back(development.quoted(argv)) == argv


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), WORDS, max_size=3))
def test_any_environment_survives_systemds_quoting(environment: dict[str, str]) -> None:
    text = development.drop_in("heat-engine", Command(("/bin/true",), environment, simple=False), terminal=None)
    (line,) = [line for line in text.split("\n") if line.startswith(("ExecStart=/", 'ExecStart="'))]
    tool, *words = read_command(line)
    assert tool == "/usr/bin/env"
    assert words[-1] == "/bin/true"
    assert dict(word.split("=", 1) for word in words[4:-1]) == environment


def test_what_leads_python_back_to_productions_code_is_taken_out() -> None:
    line = development.overriding(["/x"], {"A": "1"})
    assert line == ["/usr/bin/env", "-u", "PYTHONPATH", "-u", "PYTHONHOME", "A=1", "/x"]


@given(WORDS)
def test_no_setting_begins_another_line(value: str) -> None:
    command = Command(("/bin/true",), {"A": f"{value}\nExecStart=/bin/other"}, simple=False)
    text = development.drop_in("heat-engine", command, terminal=None)
    assert [line for line in text.split("\n") if line.startswith("ExecStart=/")] == []


def test_what_expected_a_fork_is_a_plain_process() -> None:
    lines = development.drop_in("heat-engine", Command(("/x",), {}, simple=True), terminal=None).splitlines()
    assert {"Type=simple", "RemainAfterExit=no", "KillMode=control-group", "ExecStop="} <= set(lines)


def test_a_dollar_sign_is_no_variable_of_systemds() -> None:
    text = development.drop_in("heat-engine", Command(("/bin/echo", "$HOME"), {}, simple=False), terminal=None)
    assert any(line.endswith('"/bin/echo" "$$HOME"') for line in text.splitlines())


def test_production_cannot_start_it_and_its_command_is_replaced_not_added() -> None:
    lines = development.drop_in("heat-engine", Command(("/x",), {}, simple=True), terminal=None).splitlines()
    assert "AssertPathExists=/run/devswap/heat-engine/go" in lines
    (started,) = [line for line in lines if line.startswith("ExecStart=") and line.endswith('"/x"')]
    assert lines.index("ExecStart=") < lines.index(started)
    assert "Restart=no" in lines
    assert "Type=simple" in lines


def test_a_prompt_is_waited_for_on_a_terminal_and_the_background_keeps_productions_deadlines() -> None:
    command = Command(("/x",), {}, simple=False)
    attended, alone = (
        development.drop_in("heat-engine", command, terminal=each).splitlines() for each in ("/dev/pts/7", None)
    )
    assert {"TimeoutStartSec=infinity", "WatchdogSec=0", "RuntimeMaxSec=infinity"} <= set(attended)
    assert attended.index("WatchdogSec=0") > attended.index("[Service]")
    assert not any(line.startswith(("Timeout", "Watchdog", "RuntimeMax")) for line in alone)
    assert development.is_as_written("\n".join([*attended, ""]))


def test_somebody_who_stops_it_from_elsewhere_is_waited_for_without_a_terminal_as_well() -> None:
    command = Command(("/x",), {}, simple=False)
    lines = development.drop_in("heat-engine", command, terminal=None, patient=True).splitlines()
    assert {"TimeoutStartSec=infinity", "WatchdogSec=0", "StandardOutput=journal"} <= set(lines)


def test_a_terminal_is_its_input_and_its_output() -> None:
    text = development.drop_in("heat-engine", Command(("/x",), {}, simple=False), terminal="/dev/pts/7")
    assert "TTYPath=/dev/pts/7" in text
    assert "StandardInput=tty-force" in text
    assert "journal" not in text


def test_it_lies_where_a_restart_of_the_machine_removes_it() -> None:
    assert development.path("heat-engine.service").startswith("/run/")
    assert development.gate("heat-engine").startswith("/run/")
