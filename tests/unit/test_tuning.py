"""What a person changes in how development runs: kept, shown, and refused where it could not take effect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from devswap import options, tuning
from devswap.errors import UsageError
from devswap.tuning import Changes, Tuning

WORKERS = ("OS_DEFAULT__NUM_ENGINE_WORKERS",)


def applied(changes: Changes, to: Tuning | None = None) -> Tuning:
    return changes.applied(to or Tuning(), service="heat-engine", one_worker=WORKERS, argv=())


def test_settings_become_variables_that_beat_every_file() -> None:
    once, lists = tuning.settings(["DEFAULT.debug=true", "oslo_messaging_rabbit.rpc-retry=a=b"])
    assert lists == {}
    found = applied(Changes(settings=once))
    assert found.environment() == {"OS_DEFAULT__DEBUG": "true", "OS_OSLO_MESSAGING_RABBIT__RPC_RETRY": "a=b"}


def test_what_is_not_named_stays_and_what_is_unset_goes() -> None:
    first = applied(Changes(settings={"a.b": "1", "a.c": "2"}, workers=3, breakpoints=("x.py:1",), post_mortem=True))
    second = applied(Changes(settings={"a.c": "4"}, unset=("a.b",), breakpoints=("y.py:2", "x.py:1")), first)
    assert second.settings == {"a.c": "4"}
    assert second.breakpoints == ("x.py:1", "y.py:2")
    assert second.workers == 3
    assert second.environment() == {"OS_A__C": "4", WORKERS[0]: "3"}
    third = applied(Changes(clear=True, breakpoints=("z.py:3",), post_mortem=False), second)
    assert third.breakpoints == ("z.py:3",)
    assert not third.post_mortem


def test_a_setting_beats_the_number_of_workers() -> None:
    found = applied(Changes(workers=2, settings={"DEFAULT.num_engine_workers": "5"}))
    assert found.environment() == {WORKERS[0]: "5"}


def test_it_survives_the_journal() -> None:
    found = applied(Changes(settings={"a.b": "1"}, workers=2, breakpoints=("x.py:1 if a",), post_mortem=True))
    assert Tuning.read(json.loads(json.dumps(found.as_json()))) == found
    assert Tuning.read({}) == Tuning()


def test_it_is_shown_in_a_line_each() -> None:
    found = applied(Changes(settings={"a.b": "1"}, workers=2, breakpoints=("x.py:1 if a", "m:f"), post_mortem=True))
    assert found.lines() == ["set: a.b=1, 2 workers, post-mortem", "breakpoint: x.py:1 if a", "breakpoint: m:f"]
    assert Tuning().lines() == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["debug=true"], "GROUP.OPTION"),
        (["DEFAULT.debug"], "GROUP.OPTION=VALUE"),
        (["DEFAULT.=x"], "GROUP.OPTION"),
        ([".debug=x"], "GROUP.OPTION"),
        (["a b.c d=x"], "GROUP.OPTION"),
        (["a.b=1", "a.b=2\nc = 3"], "a.b has several lines"),
        (["a.b=1", "a.b=2\rc = 3"], "a.b has several lines"),
        (["a.password=1", "a.password=2"], "secret"),
        (["keystone_authtoken.password=x"], "secret"),
        (["database.connection=mysql://heat:x@db/heat"], "secret"),
    ],
)
def test_what_could_not_take_effect_or_would_show_a_secret_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tuning.settings(words)


def test_a_service_without_a_number_of_workers_has_none_to_set() -> None:
    with pytest.raises(UsageError, match="workers of swift-proxy"):
        Changes(workers=2).applied(Tuning(), service="swift-proxy", one_worker=(), argv=())


def changes(**said: Any) -> Changes:
    """What the options change of which one says these, and no other."""
    nothing: dict[str, Any] = dict.fromkeys(
        (
            "settings",
            "unset",
            "workers",
            "stops",
            "post_mortem",
            "debugger",
            "listen",
            "wait_for_client",
            "write_launch",
        )
    )
    return options.changes(**{**nothing, "debug": False, "no_break": False, **said})


def test_options_are_read_before_anything_is_looked_at() -> None:
    assert changes(settings=["a.b=1"], unset=["c.d"], debug=True, stops=["x.py:1"], no_break=True) == Changes(
        settings={"DEFAULT.debug": "true", "a.b": "1"}, unset=("c.d",), breakpoints=("x.py:1",), clear=True
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"settings": ["a.b=1"], "unset": ["a.b"]}, "a.b is both set and unset"),
        ({"settings": ["a.b=1", "a.b=2"], "unset": ["a.b"]}, "a.b is both set and unset"),
        ({"debug": True, "unset": ["default.debug"]}, "DEFAULT.debug is both set and unset"),
        ({"debug": True, "settings": ["default.debug=false"]}, "--debug and --set DEFAULT.debug say the same option"),
    ],
)
def test_what_contradicts_itself_is_refused(said: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        changes(**said)


def test_uwsgi_has_its_workers_on_its_command_line() -> None:
    argv = ("uwsgi", "--processes", "1", "--harakiri", "0")
    found = Changes(workers=3).applied(Tuning(), service="heat-api", one_worker=(), argv=argv)
    assert found.argv(argv) == ["uwsgi", "--processes", "3", "--harakiri", "0"]
    assert Tuning().argv(argv) == list(argv)
