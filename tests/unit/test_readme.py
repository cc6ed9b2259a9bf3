"""README's table of options is the commands' own, no more and no less."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
import typer

ROWS = re.findall(
    r"^\| (?P<options>`--.+?) \| (?P<verbs>[a-z, ]+) \| ",
    (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def shown(verb: str) -> dict[str, str]:
    """{option: its value's name} of the table's rows for `verb`; an empty name for a switch."""
    cells = [options for options, verbs in ROWS if verb in verbs.split(", ")]
    words = [word.replace(r"\|", "|") for cell in cells for word in re.findall(r"`(--[^`]+)`", cell)]
    return {option: value for option, _, value in (word.partition(" ") for word in words)}


def known(verb: str) -> dict[str, str]:
    app = importlib.import_module(f"devswap.commands.{verb}").app
    found: dict[str, str] = {}
    for parameter in typer.main.get_command(app).params:
        if parameter.param_type_name == "option":
            names = [name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--")]
            found |= dict.fromkeys(names, parameter.metavar or "")
    return {name: value for name, value in found.items() if name != "--help"}


@pytest.mark.parametrize("verb", ["checkout", "run", "restore"])
def test_every_option_is_in_the_table(verb: str) -> None:
    assert shown(verb) == known(verb)
