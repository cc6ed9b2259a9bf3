"""What is asked of machines again and again while they are only looked at: asked once, and remembered for that long."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Seen = TypeVar("Seen")
_seen: ContextVar[dict[Hashable, Any] | None] = ContextVar("seen", default=None)
_restless: ContextVar[dict[str, str] | None] = ContextVar("restless", default=None)


@contextmanager
def while_looking() -> Iterator[dict[str, str]]:
    """What `once` is asked within this is looked at once. A thread that is begun within it takes part.

    Yields the machines that run and could not be looked at meanwhile, with why, as they are found.
    """
    passed_over: dict[str, str] = {}
    token, other = _seen.set({}), _restless.set(passed_over)
    try:
        yield passed_over
    finally:
        _seen.reset(token)
        _restless.reset(other)


def restless() -> dict[str, str] | None:
    """The machines, by their addresses, that start or stop for longer than a look waits; None outside of a look."""
    return _restless.get()


@contextmanager
def at_this_instant() -> Iterator[None]:
    """Within `while_looking`, for what must be true now: everything is looked at."""
    token = _seen.set(None)
    try:
        yield
    finally:
        _seen.reset(token)


def is_looking() -> bool:
    return _seen.get() is not None


def once(key: Hashable, look: Callable[[], Seen]) -> Seen:
    """What `look` sees, or has seen before under this key."""
    seen = _seen.get()
    if seen is None:
        return look()
    if key not in seen:
        seen[key] = look()
    found: Seen = seen[key]
    return found
