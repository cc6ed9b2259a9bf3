"""What is found out before anything is stopped is no part of an outage."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from devswap import running, swap
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.unit.midst import ENGINE, check_out, in_the_midst_of

ACTS: dict[str, Callable[[SimulatedCloud], object]] = {
    "checkout": lambda cloud: check_out(cloud.host(), cloud, ENGINE, "plain"),
    "switch": lambda cloud: check_out(cloud.host(), cloud, ENGINE, "migrates"),
    "run": lambda cloud: swap.run(cloud.host(), ENGINE, None, detach=True),
}


@pytest.mark.parametrize("act", ACTS)
def test_how_development_shall_run_is_found_out_while_something_serves(
    cloud: SimulatedCloud, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    served: list[bool] = []
    unit = cloud.machine(images.HEAT).init
    if act != "checkout":
        check_out(cloud.host(), cloud, ENGINE, "plain")
    look = lambda: served.append(unit.is_active(f"{ENGINE}.service"))  # noqa: E731
    with in_the_midst_of(monkeypatch, running, "drop_in_text", look):
        ACTS[act](cloud)
    assert served == [True]
