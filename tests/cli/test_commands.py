"""Every command is listed, says in one line what it does, and shows how it is typed."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import typer
from typer.testing import CliRunner

import devswap.commands
from devswap import cli


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_the_listed_line_is_how_its_help_begins(name: str) -> None:
    command = typer.main.get_command(importlib.import_module(f"devswap.commands.{name}").app)
    first = (getattr(command, "help", None) or "").strip().splitlines()[0]
    assert first.startswith(cli.COMMANDS[name].removesuffix("."))


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_its_help_shows_examples(name: str) -> None:
    command = typer.main.get_command(importlib.import_module(f"devswap.commands.{name}").app)
    epilog = getattr(command, "epilog", None) or ""
    assert "Example" in epilog
    assert f"devswap {name}" in epilog


def test_every_command_there_is_is_listed() -> None:
    assert {module.name for module in pkgutil.iter_modules(devswap.commands.__path__)} == set(cli.COMMANDS)


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(cli.app, ["--help"])
    assert shown.exit_code == 0
    assert all(line in shown.stdout for line in cli.COMMANDS.values())


def test_an_unknown_command_is_an_error() -> None:
    assert CliRunner().invoke(cli.app, ["no-such-command"]).exit_code != 0
