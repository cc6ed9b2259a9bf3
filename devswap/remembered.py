"""What is asked of machines again and again while they are only looked at: asked once, and remembered for that long."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Seen = TypeVar("Seen")
_seen: ContextVar[dict[Hashable, Any] | None] = ContextVar("seen", default=None)


@contextmanager
def while_looking() -> Iterator[None]:
    """What `once` is asked within this is looked at once. A thread that is begun within it takes part."""
    token = _seen.set({})
    try:
        yield
    finally:
        _seen.reset(token)


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
