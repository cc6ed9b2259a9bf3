"""uWSGI's configuration is read as it reads it, and development runs by the same one."""

from __future__ import annotations

import subprocess
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
ENVIRONMENT = {"REGION": "one"}
OVERLAY = "/run/devswap/heat-api/1/overlay"


def read(*words: str, **files: str) -> uwsgi.Settings:
    """`files` by their names without folder and suffix: one="…" is /etc/uwsgi/one.ini."""
    return uwsgi.read([PROGRAM, *words], lambda path: files.get(Path(path).stem), ENVIRONMENT, folder="/srv")


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
    assert found.files == ("/etc/uwsgi/one.ini", "/etc/uwsgi/two.ini")
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
        ("https2 = cert=/c.crt,key=/c.key,addr=:443", "https://127.0.0.1:443"),
        ("suwsgi-socket = 10.0.0.1:443,/c.crt,/c.key", "suwsgi://10.0.0.1:443"),
        ("socket = :8004\nprotocol = http", "http://127.0.0.1:8004"),
        ("http-socket = heat.socket", "http:///srv/heat.socket"),
        ("shared-socket = 10.0.0.1:443\nhttps = =0,/c.crt,/c.key", "https://10.0.0.1:443"),
    ],
)
def test_it_is_asked_where_it_listens(line: str, address: str) -> None:
    assert read("/x/one.ini", one=f"[uwsgi]\n{line}\n").addresses == (address,)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--yaml", "/x/one.yaml"), "is no ini file"),
        (("--config", "/x/one.json"), "is no ini file"),
        (("--ini", "http://10.0.0.1/one.ini"), "is no file"),
        (("--ini", "/x/gone.ini"), "there is no file /x/gone.ini"),
        (("--ini", "/x/one.ini"), "/x/one.ini names files that name it again"),
    ],
)
def test_what_cannot_be_read_is_refused(words: tuple[str, ...], why: str) -> None:
    with pytest.raises(DevswapError, match=f"cannot read how uWSGI is configured: .*{why}"):
        read(*words, one="[uwsgi]\nini = /x/one.ini\n")


def test_a_section_is_named_behind_the_file_and_alone_for_the_file_itself() -> None:
    one = "[uwsgi]\nuid = root\n[api]\nuid = heat\nini = :venv\n[venv]\nvenv = /v/%x\n"
    found = read("--ini", "/x/one.ini:api", one=one)
    assert (found.all("uid"), found.virtualenv) == (["heat"], "/v/venv")


def test_placeholders_are_filled_as_uwsgi_fills_them() -> None:
    """Each of these was held against uWSGI 2.0.31, which prints all that it was told with --show-config."""
    one = (
        "[uwsgi]\nfile = %n %d %p %s %e %c %0 %5. %q. %%n\nlate = %(early)\nearly = first\nearly = second\n"
        "env = A=$(REGION)\nenv = B=$(NOTHING)\nenv = C=@(/x/three)\nini = two.ini\n"
    )
    found = read("--ini", "/etc/uwsgi/one.ini", one=one, two="[uwsgi]\nmount = %n of %N in %d\n", three="text\n")
    assert found.script == "one /etc/uwsgi/ /etc/uwsgi/one.ini one.ini ini uwsgi etc . . %n"
    assert found.last("late") == "first"
    assert found.environment == {"A": "one", "B": "$(NOTHING)", "C": "text"}
    assert found.last("mount") == "two of one in /srv/"


def test_files_to_inherit_from_come_after_all_others() -> None:
    one = "[uwsgi]\ninherit = /x/two.ini\nvenv = /early\n"
    assert read("--ini", "/x/one.ini", one=one, two="[uwsgi]\nvenv = /late\n").virtualenv == "/late"


@pytest.mark.parametrize(
    ("condition", "virtualenv"),
    [
        ("if-env = REGION", "/yes"),
        ("if-env = REGION=two", "/no"),
        ("if-not-env = REGION", "/no"),
        ("if-opt = uid=heat", "/yes"),
        ("if-file = /x/one.ini", "/yes"),
        ("if-reload = true", "/no"),
    ],
)
def test_conditions_are_met_as_they_are_in_production(condition: str, virtualenv: str) -> None:
    one = f"[uwsgi]\nuid = heat\n{condition}\nvenv = /yes\nelse = 1\nvenv = /no\nendif = 1\n"
    assert read("--ini", "/x/one.ini", one=one).virtualenv == virtualenv


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("virtualenv = %(base)/x", r"/x/one\.ini has %\(base\) in virtualenv, which only uWSGI knows"),
        ("http-socket = :$(PORT)", r"/x/one\.ini has \$\(PORT\) in http-socket"),
        ("uid = %U", "/x/one.ini has %U in uid"),
        ("if-plugin = python\nvenv = /v", "/x/one.ini has venv behind if-plugin = python, which only uWSGI can decide"),
        ("for-glob = /x/*\nini = %(_)", "/x/one.ini has ini behind for-glob"),
    ],
)
def test_what_only_uwsgi_knows_is_refused_where_it_matters(text: str, why: str) -> None:
    with pytest.raises(DevswapError, match=why):
        read("--ini", "/x/one.ini", one=f"[uwsgi]\n{text}\n")
    assert read("--ini", "/x/one.ini", one="[uwsgi]\nfor = a b\nmime = %(_) %U %(none)\nendfor = 1\nvenv = /v\n")


def test_an_option_without_a_value_does_not_swallow_the_file_behind_it() -> None:
    found = read("--vacuum", "/x/one.ini", "--strict", "--http-socket", ":1", one="[uwsgi]\nvenv = /v\n")
    assert (found.virtualenv, found.addresses) == ("/v", ("http://127.0.0.1:1",))


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


def test_a_file_that_is_filtered_keeps_its_section_and_what_its_placeholders_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "one #&.ini"
    path.write_text("[api]\nmaster = true\nvenv = %d%n%n\nfile = %%n %p %x\n")
    settings = uwsgi.read([PROGRAM, "--ini", f"{path}:api"], lambda name: Path(name).read_text(), {})
    argv = development(settings)
    command, _, section = argv[argv.index("--ini") + 1].rpartition(":")
    assert section == "api"
    shown = subprocess.run(["sh", "-c", command.removeprefix("exec://")], capture_output=True, text=True, check=True)
    assert shown.stdout == f"[api]\nvenv = {tmp_path}/one #&one #&\nfile = %%n {path} api\n"
    path.write_text("[api]\nmaster = true\nvenv = /v\npidfile = /run/%i\n")
    settings = uwsgi.read([PROGRAM, "--ini", f"{path}:api"], lambda name: Path(name).read_text(), {})
    with pytest.raises(DevswapError, match="has %i, which only uWSGI knows"):
        development(settings)


def test_productions_own_packages_before_the_checkouts_are_refused() -> None:
    one = "[uwsgi]\nvirtualenv = /v\npythonpath = /v/lib/python3.11/site-packages\n"
    with pytest.raises(DevswapError, match="production's own packages would win"):
        development(read("--ini", "/x/one.ini", one=one))
    development(read("--ini", "/x/one.ini", one=one.replace("= /v/lib", "= /srv/lib")))


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


def test_user_and_group_may_be_numbers_in_its_own_file(tmp_path: Path) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    unit = (machine.read_text("/etc/systemd/system/heat-api.service") or "").replace("User=heat\nGroup=heat\n", "")
    machine.write_text("/etc/systemd/system/heat-api.service", unit)
    ini = images.UWSGI_INI.format(venv=images.VENV, module="api", port=8004, address=images.ADDRESSES[images.HEAT])
    machine.write_text("/etc/uwsgi/heat-api.ini", ini.replace("uid = heat\ngid = heat", "uid = 110\ngid = 112"))
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "stop", "--", "heat-api.service"])
    (place,) = units.find([load_catalogue().get("heat-api")], [machine])
    deployment = units.examine(place)
    assert (deployment.user, deployment.group) == ("heat", "heat")


def test_a_service_with_a_server_of_its_own_is_asked_where_its_configuration_says(tmp_path: Path) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT_CFN)
    (place,) = units.find([load_catalogue().get("heat-api-cfn")], [machine])
    assert units.examine(place).addresses == ("http://127.0.0.1:8000",)
    machine.write_text("/etc/heat/heat.conf", images.HEAT_CONF + "[heat_api_cfn]\nbind_host = 10.0.0.7\nbind_port=1\n")
    assert units.examine(place).addresses == ("http://10.0.0.7:1",)
