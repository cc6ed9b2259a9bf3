"""Users add services and change those there are; what they may not say is refused with file and key."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from devswap import entries, schema
from devswap.errors import UsageError
from devswap.service import Catalogue, Database, Queue, Web, load_catalogue, shipped

OWN = """project = "weather"
distribution = "weather"
package = "weather"
config = ["/etc/heat/weather.conf"]
[service.weather-api]
check = ["weather.api"]
"""


@pytest.fixture
def system(tmp_path: Path) -> Path:
    (tmp_path / "system").mkdir()
    return tmp_path / "system"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home/.config/devswap/services").mkdir(parents=True)
    return tmp_path / "home"


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name if folder.name == "system" else folder / ".config/devswap/services" / name
    path.write_text(text)
    return path


def load(home: Path | None, system: Path) -> Catalogue:
    return entries.load(home, trusted=frozenset({0, 1000}), system=system)


def test_without_files_of_anybodys_it_is_devswaps_own(home: Path, system: Path) -> None:
    found = load(home, system)
    assert [each.name for each in found] == [each.name for each in load_catalogue()]
    assert {each.origins for each in found} == {("devswap",)}
    assert not any(each.of_home for each in found)


def test_a_service_is_added(home: Path, system: Path) -> None:
    path = put(home, "weather.toml", OWN)
    added = load(home, system).get("weather-api")
    assert (added.project, added.units, added.origins, added.of_home) == (
        "weather",
        ("weather-api",),
        (str(path),),
        True,
    )


def test_what_a_file_does_not_say_stays_and_the_home_wins_over_the_host(home: Path, system: Path) -> None:
    text = (
        'project = "heat"\n[service.heat-engine]\nunits = ["{unit}"]\n[service.heat-engine.environment]\n{name} = "1"\n'
    )
    first = put(system, "units.toml", text.format(unit="stack-engine", name="A"))
    last = put(home, "units.toml", text.format(unit="my-engine", name="OS_B"))
    known = load_catalogue().get("heat-engine")
    found = load(home, system)
    changed = found.get("heat-engine")
    assert changed.units == ("my-engine",)
    assert changed.environment == {**known.environment, "A": "1", "OS_B": "1"}
    assert (changed.check, changed.queue) == (known.check, known.queue)
    assert changed.origins == ("devswap", str(first), str(last))
    assert (changed.of_home, found.get("heat-api").of_home) == (True, False)
    assert load(None, system).get("heat-engine").units == ("stack-engine",)


def test_what_is_said_of_a_project_is_said_of_all_its_services(home: Path, system: Path) -> None:
    path = put(home, "heat.toml", 'project = "heat"\nremote = "https://mine/heat"\n')
    found = load(home, system)
    assert {each.remote for each in found if each.project == "heat"} == {"https://mine/heat"}
    assert found.get("heat-api").origins == ("devswap", str(path))
    assert found.get("glance-api").origins == ("devswap",)


def test_what_root_has_at_home_is_roots_word(home: Path, system: Path) -> None:
    put(home, "weather.toml", OWN + 'environment = { LD_PRELOAD = "x" }\n')
    assert not entries.load(home, trusted=frozenset({0}), system=system).get("weather-api").of_home


def test_root_may_name_folders_and_variables_that_a_home_may_not(home: Path, system: Path) -> None:
    known = OWN.replace("/etc/heat", "/etc/weather") + 'environment = { TZ = "UTC" }\n'
    put(system, "weather.toml", known)
    put(home, "weather.toml", 'project = "weather"\nconfig = ["/etc/weather/mine.conf"]\n')
    found = load(home, system).get("weather-api")
    assert (found.config, found.environment) == (("/etc/weather/mine.conf",), {"TZ": "UTC"})


def test_what_comes_with_devswap_needs_no_more_than_a_home_may_say() -> None:
    for read in shipped():
        folders = {path.rpartition("/")[0] for path in read["config"]}
        assert folders.isdisjoint({"", "/etc"})
        schema.check_of_home(read["project"], read, folders)


def test_a_refusal_can_be_lifted(home: Path, system: Path) -> None:
    put(home, "masakari.toml", 'project = "masakari"\n[service.masakari-engine]\nunsupported = ""\n')
    found = load(home, system)
    assert found.get("masakari-engine").unsupported is None
    assert found.get("masakari-api").unsupported


def test_somebody_elses_file_is_not_believed(home: Path, system: Path) -> None:
    path = put(home, "weather.toml", OWN)
    os.chown(path, 4321, 4321)
    with pytest.raises(UsageError, match="belongs to uid 4321"):
        load(home, system)


def test_a_file_of_the_host_is_roots(system: Path) -> None:
    os.chown(put(system, "weather.toml", OWN), 4321, 4321)
    with pytest.raises(UsageError, match="belongs to uid 4321"):
        entries.load(None, trusted=frozenset({0, 4321}), system=system)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN + "colour = 1\n", "unknown key service.weather-api.colour"),
        (OWN + "web = { colour = 1 }\n", "unknown key service.weather-api.web.colour"),
        (OWN.replace("check", "#"), "lacks 'check'"),
        (OWN.replace('["weather.api"]', '["weather.api:a:b"]'), "service.weather-api.check, which must be a list of"),
        (OWN.replace("project", "#"), "lacks 'project'"),
        (OWN.replace("[service.weather-api]", '[service."../../etc"]'), "service.../../etc, which must be a name"),
        (OWN.replace("[service.weather-api]", "[service.heat-api]"), "heat-api, which is heat's in devswap"),
        (OWN + 'units = "weather"\n', "service.weather-api.units, which must be a list"),
        (OWN + 'units = ["../x"]\n', "service.weather-api.units, which must be a list"),
        (OWN + 'entry_point = "/bin/sh"\n', "service.weather-api.entry_point, which must be the name of a script"),
        (OWN + 'environment = { "A=1 B" = "x" }\n', "service.weather-api.environment, which must be a table"),
        (OWN + 'environment = { A = "x\\ny" }\n', "service.weather-api.environment, which must be a table"),
        (OWN + 'check = ["a; import os"]\n'.replace("check", "known_by"), "known_by, which must be a list of absolute"),
        (OWN + "ports = [true]\n", "service.weather-api.ports, which must be a list of numbers"),
        (OWN.replace('"weather"\nconfig', '"weather"\nremote = "--upload-pack=x"\nconfig'), "remote, which must be"),
        (OWN.replace('distribution = "weather"', 'distribution = "-r/etc/x"'), "distribution, which must be"),
        (OWN.replace("/etc/heat/weather.conf", "/etc/heat/../shadow"), "config, which must be"),
        (OWN.replace("/etc/heat/weather.conf", "/etc/heat/.."), "config, which must be"),
        (OWN.replace("/etc/heat/weather.conf", "/etc/shadow"), "config with /etc/shadow, which in a home must be in a"),
        (OWN.replace("/etc/heat/weather.conf", "/etc/heat/x/y"), "config with /etc/heat/x/y, which in a home must be"),
        (OWN + 'environment = { LD_PRELOAD = "x" }\n', "service.weather-api.environment.LD_PRELOAD, which in a home"),
        (OWN + 'one_worker = { UWSGI_UID = "0" }\n', "service.weather-api.one_worker.UWSGI_UID, which in a home"),
        (
            OWN.replace("[service", '[environment]\nPATH = "/x"\n[service'),
            "environment.PATH, which in a home must be the variable of an option",
        ),
        ("service = 1\n" + OWN.partition("[service")[0], "service, which must be a table"),
    ],
)
def test_what_a_file_may_not_say_is_refused_with_file_and_key(home: Path, system: Path, text: str, said: str) -> None:
    path = put(home, "weather.toml", text)
    with pytest.raises(UsageError) as caught:
        load(home, system)
    assert str(path) in caught.value.message
    assert said in caught.value.message


def test_every_fact_has_its_key() -> None:
    assert {field.name for field in fields(Database)} == schema.DATABASE.keys()
    for kind, key in ((Web, "web"), (Queue, "queue")):
        forms = schema.SERVICE[key]
        assert not isinstance(forms, schema.Form)
        assert {field.name for field in fields(kind)} == forms.keys()


def test_a_unit_of_another_name_writes_to_the_database_all_the_same(home: Path, system: Path) -> None:
    put(home, "heat.toml", 'project = "heat"\n[service.heat-engine]\nunits = ["stack-engine"]\n')
    database = load(home, system).get("heat-api").database
    assert database is not None
    assert {"stack-engine", "heat-engine", "heat-api", "heat-api-cfn"} <= set(database.units)
