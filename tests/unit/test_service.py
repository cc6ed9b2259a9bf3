"""The catalogue is data, and what is wrong in it is said with file and key."""

from __future__ import annotations

from importlib import resources

import pytest

from devswap.errors import DevswapError, UsageError
from devswap.service import load_catalogue, read_project

PROJECT = """project = "heat"
distribution = "openstack-heat"
package = "heat"
config = ["/etc/heat/heat.conf"]
[service.heat-engine]
check = ["heat"]
"""


def test_a_service_needs_little() -> None:
    (found,) = read_project("heat.toml", PROJECT)
    assert found.units == ("heat-engine",)
    assert found.database is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROJECT + "colour = 1\n", "unknown key service.heat-engine.colour"),
        ("colour = 1\n" + PROJECT, "unknown key colour"),
        (PROJECT.replace("check", "#"), "lacks 'check'"),
        ("this is no toml", "cannot read"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(DevswapError, match=r"heat\.toml") as caught:
        read_project("heat.toml", text)
    assert said in caught.value.message


def test_every_entry_is_read_and_says_what_is_needed() -> None:
    """Each file has its services, and each service a name, modules to import and commands of its own."""
    shipped = [file for file in resources.files("devswap.catalogue").iterdir() if file.name.endswith(".toml")]
    for file in shipped:
        services = read_project(file.name, file.read_text(encoding="utf-8"))
        assert services, file.name
        for each in services:
            assert file.name == f"{each.project}.toml"
            assert each.check, each.name
            assert each.units, each.name
            assert each.entry_point or each.web, each.name
            if each.database:
                assert each.database.sync, each.name
                assert each.database.migrations, each.name
                assert set(each.units) - {"apache2", "httpd"} <= set(each.database.units), each.name
    names = [each.name for file in shipped for each in read_project(file.name, file.read_text(encoding="utf-8"))]
    assert len(names) == len(set(names)) == len(list(load_catalogue()))


def test_who_is_said_to_call_a_service_is_one_of_its_project() -> None:
    catalogue = load_catalogue()
    calling = [(each, catalogue.get(name)) for each in catalogue for name in each.called_by]
    assert {each.name for each, _ in calling} >= {"heat-engine", "nova-conductor", "cinder-volume"}
    assert all(caller.project == each.project and caller.name != each.name for each, caller in calling)


def test_a_service_may_leave_the_database_to_others_and_say_why_it_cannot_be_taken_over() -> None:
    database = '[database]\ngroup = "a"\noption = "b"\nsync = [["x"]]\nmigrations = ["m"]\nunits = ["u"]\n'
    own = '[service.heat-agent]\ncheck = ["heat"]\ndatabase = false\nunsupported = "it is shy"\n'
    engine, agent = read_project("heat.toml", PROJECT + own + database)
    assert (engine.database is None, engine.unsupported) == (False, None)
    assert (agent.database, agent.unsupported) == (None, "it is shy")
    with pytest.raises(DevswapError, match="must be false"):
        read_project("heat.toml", PROJECT + own.replace("= false", "= true") + database)


def test_what_is_true_of_a_whole_project_is_said_once() -> None:
    whole = 'unsupported = "three databases"\nremote = "https://elsewhere/heat"\n' + PROJECT
    (engine,) = read_project("heat.toml", whole)
    assert (engine.unsupported, engine.remote) == ("three databases", "https://elsewhere/heat")
    (engine,) = read_project("heat.toml", whole + 'unsupported = ""\n')
    assert engine.unsupported is None


def test_an_unknown_service_is_answered_with_near_names() -> None:
    with pytest.raises(UsageError) as caught:
        load_catalogue().get("heat-engin")
    assert caught.value.hint == "did you mean heat-engine?" or "heat-engine" in str(caught.value.hint)
