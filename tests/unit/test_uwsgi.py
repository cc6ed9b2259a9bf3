"""uWSGI's configuration is read as it reads it, and development runs by the same one."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import plan, uwsgi
from devswap.discovery import units
from devswap.errors import DevswapError
from devswap.service import load_catalogue
from devswap.slot import Slot
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud

PROGRAM = "/opt/bin/uwsgi"
OVERLAY = "/run/devswap/heat-api/1/overlay"


def read(*words: str, **files: str) -> uwsgi.Settings:
    """`files` by their names without folder and suffix: one="…" is /etc/uwsgi/one.ini."""
    return uwsgi.read([PROGRAM, *words], lambda path: files.get(Path(path).stem))


def development(settings: uwsgi.Settings, **environment: str) -> list[str]:
    return uwsgi.development(settings, OVERLAY, environment, script=None)


def test_the_section_of_the_file_says_what_runs() -> None:
    text = "# a comment\n[other]\nuid = root\n[uwsgi]\nuid = heat\nvenv = /v\nwsgi = heat.wsgi.api:application\n"
    found = read("--autoload", "--ini", "/etc/uwsgi/one.ini", one=text)
    assert (found.virtualenv, found.module, found.last("uid")) == ("/v", "heat.wsgi.api", "heat")
    assert found.files == ("/etc/uwsgi/one.ini",)


def test_the_last_word_wins_wherever_it_stands() -> None:
    assert read("--ini", "/x/one.ini", "-H", "/late", one="[uwsgi]\nhome = /early\n").virtualenv == "/late"
    assert read("-H", "/early", "--ini", "/x/one.ini", one="[uwsgi]\nhome = /late\n").virtualenv == "/late"


def test_included_files_and_placeholders_count() -> None:
    one = "[uwsgi]\nset = base=/v\nvirtualenv = %(base)/%n\nini = %dtwo.ini:more\n"
    found = read("/etc/uwsgi/one.ini", one=one, two="[more]\nenv = A=b=c\npyargv = --config-file '/e/a b'\n")
    assert found.virtualenv == "/v/one"
    assert found.environment == {"A": "b=c"}
    assert found.arguments == ["--config-file", "/e/a b"]


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("http-socket = 10.0.0.1:8004", "http://10.0.0.1:8004"),
        ("http-socket = :8004", "http://127.0.0.1:8004"),
        ("http = 0.0.0.0:80", "http://127.0.0.1:80"),
        ("socket = [::]:8004", "uwsgi://[::1]:8004"),
        ("socket = /run/x.socket", "uwsgi:///run/x.socket"),
        ("socket = @hidden", "uwsgi://@hidden"),
        ("https-socket = 10.0.0.1:443,/c.crt,/c.key", "https://10.0.0.1:443"),
    ],
)
def test_it_is_asked_where_it_listens(line: str, address: str) -> None:
    assert read("/x/one.ini", one=f"[uwsgi]\n{line}\n").addresses == (address,)


def test_what_is_no_ini_file_is_refused() -> None:
    with pytest.raises(DevswapError, match="is no ini file"):
        read("--yaml", "/x/one.yaml")


def test_development_is_production_with_a_few_words_more() -> None:
    argv = development(read("--autoload", "--ini", "/x/one.ini", one="[uwsgi]\nvirtualenv = /v\n"))
    assert argv[:4] == [PROGRAM, "--autoload", "--ini", "/x/one.ini"]
    assert argv[argv.index("--virtualenv") + 1] == OVERLAY
    assert argv[argv.index("--processes") + 1] == "1"
    assert "--honour-stdin" in argv


def test_lines_that_no_later_word_takes_back_are_left_out_of_what_it_reads() -> None:
    argv = development(read("--ini", "/x/one.ini", "--logto", "/a", one="[uwsgi]\nmaster = true\ncheaper-step = 2\n"))
    command = argv[argv.index("--ini") + 1]
    assert command.startswith("exec:///bin/sed -E ")
    assert command.endswith("/x/one.ini")
    assert "--logto" not in argv


def test_a_log_in_an_included_file_is_refused() -> None:
    with pytest.raises(DevswapError, match=r"/x/two\.ini sets logto"):
        development(read("/x/one.ini", one="[uwsgi]\nini = /x/two.ini\n", two="[uwsgi]\nlogto = /a\n"))


def test_settings_of_ours_win_over_those_in_its_files() -> None:
    argv = development(read("/x/one.ini", one="[uwsgi]\nenv = OS_A=1\n"), OS_A="2", OS_B="3")
    assert argv[-2:] == ["--env", "OS_A=2"]


def test_a_service_in_uwsgi_is_examined_and_survives_the_journal(tmp_path: Path) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    (place,) = units.find([load_catalogue().get("heat-api")], [machine])
    deployment = units.examine(place)
    assert units.version(place) == "33.0.1"
    assert deployment.interpreter.path == f"{images.VENV}/bin/python"
    assert deployment.addresses == ("http://172.29.236.130:8004",)
    assert (deployment.user, deployment.config_files) == ("heat", ("/etc/heat/heat.conf",))
    assert units.from_json(place, units.as_json(deployment)) == deployment
    command = plan.command(deployment, Slot(checkout="/c", overlay=OVERLAY))
    assert command.argv[0] == images.UWSGI
    assert OVERLAY in command.argv


def test_a_service_with_a_server_of_its_own_is_asked_where_its_configuration_says(tmp_path: Path) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT_CFN)
    (place,) = units.find([load_catalogue().get("heat-api-cfn")], [machine])
    assert units.examine(place).addresses == ("http://127.0.0.1:8000",)
    machine.write_text("/etc/heat/heat.conf", images.HEAT_CONF + "[heat_api_cfn]\nbind_host = 10.0.0.7\nbind_port=1\n")
    assert units.examine(place).addresses == ("http://10.0.0.7:1",)
