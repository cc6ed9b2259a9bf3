"""Two things at once: the second one's result, its error, and what of the first one's it can see."""

from __future__ import annotations

import threading
from contextvars import ContextVar

import pytest

from devswap import meanwhile
from devswap.errors import DevswapError

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
