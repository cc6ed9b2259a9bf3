"""Two things at once: the second one's result, its error, and what of the first one's it can see."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from devswap import meanwhile, swap
from devswap.errors import DevswapError
from devswap.wish import Wish
from tests.simulated.cloud import SimulatedCloud

seen: ContextVar[str] = ContextVar("seen", default="nothing")


def test_it_goes_on_beside_and_is_waited_for() -> None:
    may_end = threading.Event()

    def look() -> str:
        assert may_end.wait(20)
        return "looked"

    result = meanwhile.begun(look)
    may_end.set()  # it has not been waited for until here
    assert result() == "looked"
    assert result() == "looked"


def test_its_error_is_raised_where_its_result_is_wanted() -> None:
    def look() -> None:
        raise DevswapError("it cannot be seen")

    result = meanwhile.begun(look)
    with pytest.raises(DevswapError, match="it cannot be seen"):
        result()


def test_it_sees_what_holds_where_it_was_begun() -> None:
    token = seen.set("this")
    result = meanwhile.begun(seen.get)
    seen.reset(token)
    assert result() == "this"


def test_at_once_is_before_anything_else() -> None:
    order = []
    result = meanwhile.at_once(lambda: order.append("looked"))
    order.append("fetched")
    result()
    assert order == ["looked", "fetched"]


def test_what_goes_on_when_nobody_waits_for_it_any_more_says_nothing() -> None:
    said: list[str] = []
    is_over = threading.Event()

    def look(say: Callable[[str], None]) -> None:
        say("taking a look")
        assert is_over.wait(20)
        say("this would come after the error")

    with meanwhile.heard(said.append) as say:
        result = meanwhile.begun(partial(look, say))
        while not said:
            pass
    is_over.set()
    result()
    assert said == ["taking a look"]


def test_a_checkout_that_fails_is_not_followed_by_what_was_looked_at_beside_it(cloud: SimulatedCloud) -> None:
    may_look, looked = threading.Event(), threading.Event()

    def beside(look: Callable[[], Any]) -> Callable[[], Any]:
        def late() -> Any:
            assert may_look.wait(20)
            try:
                return look()
            finally:
                looked.set()

        return meanwhile.begun(late)

    wish = Wish("heat-engine", "nowhere", None, None, detach=True)
    with pytest.raises(DevswapError, match="nowhere is no branch"):
        swap.checkout(cloud.host(), wish, replace(cloud.makers, beside=beside))
    may_look.set()
    assert looked.wait(20)
    assert cloud.said == []
