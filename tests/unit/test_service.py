"""The catalogue is data, and what is wrong in it is said with file and key."""

from __future__ import annotations

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


def test_an_unknown_service_is_answered_with_near_names() -> None:
    with pytest.raises(UsageError) as caught:
        load_catalogue().get("heat-engin")
    assert caught.value.hint == "did you mean heat-engine?" or "heat-engine" in str(caught.value.hint)
