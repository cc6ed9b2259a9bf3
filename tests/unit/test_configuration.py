"""Configuration is read as oslo.config reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap.configuration import Configuration, files_of
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.images import put


def read(*texts: str, environment: dict[str, str] | None = None) -> Configuration:
    return Configuration(texts, environment or {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[database]\nconnection = mysql://x\n", "mysql://x"),
        ("[database]\nconnection: mysql://x\n", "mysql://x"),
        ("[database]\nconnection=mysql://x?a=b\n", "mysql://x?a=b"),
        ("[database]\n# connection = no\nconnection = yes ; no comment\n", "yes ; no comment"),
        ("[database]\nconnection = 'quoted'\n", "quoted"),
        ("[database]\nconnection =\n", ""),
        ("[database]\nconnection = a\n  b\n", "a\nb"),
        ("[database] # a comment\nconnection = x\n", "x"),
        ("[other]\nconnection = x\n", None),
        ("connection = x\n", None),
        ("[database]\nconnection = one\nconnection = two\n", "two"),
        ("[Database]\nconnection = one\n", "one"),
        ("[database]\nconnection = one\n[DATABASE]\nconnection = two\n", "two"),
    ],
)
def test_its_dialect_is_understood(text: str, value: str | None) -> None:
    assert read(text).get("database", "connection") == value


def test_a_later_file_wins() -> None:
    assert read("[a]\nx=1\ny=1", "[a]\nx=2").get("a", "x") == "2"
    assert read("[a]\nx=1\ny=1", "[a]\nx=2").get("a", "y") == "1"


def test_the_environment_wins_over_every_file() -> None:
    options = read("[oslo-x]\nmy-url=1", environment={"OS_OSLO_X__MY_URL": "2"})
    assert options.get("oslo-x", "my-url") == "2"
    assert read("", environment={"OS_DEFAULT__HOST": "h"}).get("DEFAULT", "host") == "h"


def test_dashes_and_underscores_are_the_same() -> None:
    assert read("[a]\nlog-dir = /x").get("a", "log_dir") == "/x"


def test_references_to_other_options_are_filled_in() -> None:
    text = "my_ip = 10.0.0.1\nport = 5\n[database]\nname = heat\nconnection = mysql://$my_ip:${port}/${database.name}"
    assert read(text).get("database", "connection") == "mysql://10.0.0.1:5/heat"
    assert read("[a]\nx = $$5 $missing").get("a", "x") == "$5 $missing"


@pytest.mark.parametrize("written", [r"s\$word$$x", "s$$word$$x", r"s\$word\$x"])
def test_a_dollar_sign_is_escaped_in_two_ways(written: str) -> None:
    text = f"[DEFAULT]\nword = no\n[database]\nconnection = mysql://heat:{written}@db/heat\n"
    assert read(text).get("database", "connection") == "mysql://heat:s$word$x@db/heat"


def test_a_reference_to_itself_ends() -> None:
    assert read("[a]\nx = <$x>").get("a", "x") is not None


def test_the_command_line_names_the_files(tmp_path: Path) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    put(machine.files, "/etc/x/conf.d/b.conf", "")
    put(machine.files, "/etc/x/conf.d/a.conf", "")
    put(machine.files, "/etc/x/conf.d/a.txt", "")
    put(machine.files, "/etc/x/conf.d/.#a.conf", "")  # as editors leave one
    command = ["heat-engine", "--config-file=/etc/one", "--config-file", "/etc/two", "--config-dir", "/etc/x/conf.d/"]
    found = files_of(command, machine, ["/etc/heat/heat.conf"], "heat-engine")
    assert found == ("/etc/one", "/etc/two", "/etc/x/conf.d/a.conf", "/etc/x/conf.d/b.conf")


def test_without_any_named_the_usual_ones_are_found(tmp_path: Path) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    put(machine.files, "/etc/heat/heat-engine.conf", "")
    put(machine.files, "/etc/heat/heat.conf.d/10.conf", "")
    found = files_of(["heat-engine"], machine, ["/etc/heat/heat.conf"], "heat-engine")
    assert found == ("/etc/heat/heat.conf", "/etc/heat/heat-engine.conf", "/etc/heat/heat.conf.d/10.conf")


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"OS_KEYSTONE_CONFIG_DIR": "/srv/k"}, ("/srv/k/keystone.conf",)),
        ({"OS_KEYSTONE_CONFIG_FILES": "a.conf; /b/b.conf;"}, ("/etc/keystone/a.conf", "/b/b.conf")),
        ({"OS_KEYSTONE_CONFIG_DIR": "/srv/k", "OS_KEYSTONE_CONFIG_FILES": "a.conf"}, ("/srv/k/a.conf",)),
        ({"OS_KEYSTONE_CONFIG_DIR": " ", "OS_KEYSTONE_CONFIG_FILES": " ; "}, ("/etc/keystone/keystone.conf",)),
        ({"OS_HEAT_CONFIG_DIR": "/srv/h"}, ("/etc/keystone/keystone.conf",)),
    ],
)
def test_the_environment_names_the_files_of_an_application_in_a_web_server(
    tmp_path: Path, environment: dict[str, str], found: tuple[str, ...]
) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    put(machine.files, "/etc/keystone/keystone.conf", "")
    assert files_of((), machine, ["/etc/keystone/keystone.conf"], "keystone", environment) == found
