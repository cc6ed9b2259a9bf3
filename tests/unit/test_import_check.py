"""What is imported before production stops keeps nobody waiting for good; the imports themselves are integration's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from devswap import import_check, known_options
from devswap.errors import CommandTimeout, DevswapError
from devswap.machine import Machine
from devswap.process import Result
from devswap.slot import Slot


class Waiting:
    """A machine in which whatever Python imports never ends."""

    name = "web"

    def __init__(self) -> None:
        self.stopped: list[str] = []

    def run(self, argv: Sequence[str], *, timeout: float | None = None, **_: Any) -> Result:
        if argv[0] == "systemctl":
            self.stopped.append(argv[-1])
            return Result(tuple(argv), 0, "", "")
        assert timeout is not None, "this would wait for ever"
        raise CommandTimeout("late", result=Result(tuple(argv), -9, "", ""))


def test_an_import_that_does_not_end_is_given_up_and_ended() -> None:
    machine, unit = Waiting(), "devswap-heat-engine-check.service"
    with pytest.raises(DevswapError, match=r"cannot import heat\.cmd: that had not ended after 10 minutes") as told:
        import_check.check_import(
            cast(Machine, machine),
            Slot("/checkout", "/overlay"),
            unit=unit,
            user="heat",
            group="heat",
            package="heat",
            modules=["heat.cmd"],
        )
    assert "production has not been touched" in (told.value.hint or "")
    assert machine.stopped == [unit, unit], "what an earlier run has left, and then this one"


def test_options_that_are_not_listed_in_time_cannot_be_told() -> None:
    deployment = {"user": "heat", "group": "heat"}
    assert known_options.listed(cast(Machine, Waiting()), "heat-engine", "/overlay/bin/python", deployment) is None
