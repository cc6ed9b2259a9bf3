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


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_any_words_survive_systemds_quoting(argv: list[str]) -> None:
    assert read_back(development.quoted(argv)) == argv


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), WORDS, max_size=3))
def test_any_environment_survives_systemds_quoting(environment: dict[str, str]) -> None:
    text = development.drop_in("heat-engine", Command(("/bin/true",), environment, simple=False), terminal=None)
    lines = [line.removeprefix("Environment=") for line in text.splitlines() if line.startswith("Environment=")]
    assert dict(word.split("=", 1) for line in lines for word in read_back(line)) == environment
    assert sorted(development.settings(text)) == sorted(environment)


def test_a_dollar_sign_is_no_variable_of_systemds() -> None:
    text = development.drop_in("heat-engine", Command(("/bin/echo", "$HOME"), {}, simple=False), terminal=None)
    assert 'ExecStart=:"/bin/echo" "$HOME"' in text.splitlines()


def test_production_cannot_start_it_and_its_command_is_replaced_not_added() -> None:
    lines = development.drop_in("heat-engine", Command(("/x",), {}, simple=True), terminal=None).splitlines()
    assert "AssertPathExists=/run/devswap/heat-engine/go" in lines
    assert lines.index("ExecStart=") < lines.index('ExecStart=:"/x"')
    assert "Restart=no" in lines
    assert "Type=simple" in lines


def test_a_terminal_is_its_input_and_its_output() -> None:
    text = development.drop_in("heat-engine", Command(("/x",), {}, simple=False), terminal="/dev/pts/7")
    assert "TTYPath=/dev/pts/7" in text
    assert "StandardInput=tty-force" in text
    assert "journal" not in text


def test_it_lies_where_a_restart_of_the_machine_removes_it() -> None:
    assert development.path("heat-engine.service").startswith("/run/")
    assert development.gate("heat-engine").startswith("/run/")
