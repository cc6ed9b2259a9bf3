"""Does one thing while another goes on: looks at machines beside a fetch from a server, say."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

Found = TypeVar("Found")
Beside = Callable[[Callable[[], Any]], Callable[[], Any]]
"""One of the functions of this module: how to look at something while something else goes on."""


@contextmanager
def heard(say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """`say`, for what is begun within this; it may go on after that has failed, and says nothing any more then."""
    speaking, is_over = threading.Lock(), False

    def while_wanted(text: str) -> None:
        with speaking:
            if not is_over:
                say(text)

    try:
        yield while_wanted
    finally:
        with speaking:
            is_over = True


def begun(look: Callable[[], Found]) -> Callable[[], Found]:
    """Begin `look`, which changes nothing; what is returned waits for it, and has its result or its error.

    Whoever fails meanwhile, or is interrupted, need not wait: it ends with the program.
    """
    found: list[Found] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.append(look())
        except BaseException as error:  # raised where the result is wanted
            failed.append(error)

    thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True)
    thread.start()

    def result() -> Found:
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    return result


def at_once(look: Callable[[], Found]) -> Callable[[], Found]:
    """The same without anything going on meanwhile."""
    found = look()
    return lambda: found


def afterwards(look: Callable[[], Found]) -> Callable[[], Found]:
    """The same only when it is asked for."""
    return look
