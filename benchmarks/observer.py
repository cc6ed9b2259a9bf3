"""Watches from inside the machine whether heat-engine's queue has a consumer: the same observer for every way.

It asks the broker with production's own Python every 10 ms, by a passive declaration, and prints the transitions with
both samples around them. Times are CLOCK_MONOTONIC, which containers share with the host and with systemd's stamps.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.place import Place
from devswap import process
from devswap.errors import DevswapError

_SCRIPT = r"""
import json, select, sys, time
from urllib.parse import unquote, urlsplit
import amqp

asked = json.loads(sys.stdin.readline())
url = urlsplit(asked["url"])
connection = amqp.Connection(host="%s:%d" % (url.hostname, url.port or 5672), userid=unquote(url.username),
                             password=unquote(url.password), virtual_host=unquote(url.path[1:]) or "/")
connection.connect()
channel, seen, before = None, None, time.monotonic()
while not select.select([0], [], [], 0.01)[0]:
    try:
        channel = channel or connection.channel()
        consumed = channel.queue_declare(queue=asked["queue"], passive=True).consumer_count > 0
    except amqp.exceptions.NotFound:
        channel, consumed = None, False
    now = time.monotonic()
    if consumed != seen:
        print("%.6f %.6f %d" % (before, now, consumed), flush=True)
    seen, before = consumed, now
"""
_SETTLED_SECONDS = 120.0


@dataclass(frozen=True)
class Transition:
    """The service began or ceased to serve between two samples."""

    before: float
    after: float
    serving: bool


@dataclass(frozen=True)
class Gap:
    """`last` is the last sample with a consumer, `first` the first one again: nobody served in between."""

    last: float
    first: float

    @property
    def seconds(self) -> float:
        return self.first - self.last


class Observer:
    """An observation under way; transitions arrive in a thread of their own."""

    def __init__(self, running: process.Popen[bytes]) -> None:
        self._process = running
        self._seen: list[Transition] = []
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            before, after, serving = line.split()
            with self._news:
                self._seen.append(Transition(float(before), float(after), serving == b"1"))
                self._news.notify_all()

    def gap(self, since: float) -> Gap:
        """The time without an answer since `since`, waiting for its end; several gaps count as one.

        Raises DevswapError if there was none, or if it does not end.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._is_back(since), timeout=_SETTLED_SECONDS):
                raise DevswapError("the service did not stop and serve again, as the observer sees it")
            seen = [each for each in self._seen if each.after >= since]
        lost = next(each for each in seen if not each.serving)
        return Gap(last=lost.before, first=seen[-1].after)

    def _is_back(self, since: float) -> bool:
        seen = [each for each in self._seen if each.after >= since]
        return any(not each.serving for each in seen) and seen[-1].serving

    def wait_until_serving(self) -> None:
        """Raises DevswapError if nobody serves in time."""
        with self._news:
            if not self._news.wait_for(lambda: bool(self._seen) and self._seen[-1].serving, timeout=_SETTLED_SECONDS):
                raise DevswapError(f"heat-engine does not serve: {self._ended()}")

    def _ended(self) -> str:
        return "its queue has no consumer" if self._process.poll() is None else "the observer in its machine has ended"


@contextmanager
def observing(place: Place) -> Iterator[Observer]:
    """Watch until the block ends; what runs in the machine ends with its standard input."""
    running = place.machine.popen(
        [place.python, "-c", _SCRIPT],
        user=place.user,
        cwd="/",
        stdin=process.PIPE,
        stdout=process.PIPE,
        new_session=True,
    )
    assert running.stdin is not None
    try:
        running.stdin.write(json.dumps({"url": place.transport_url, "queue": place.queue}).encode() + b"\n")
        running.stdin.flush()
        observer = Observer(running)
        observer.wait_until_serving()
        yield observer
    finally:
        running.stdin.close()
        running.wait(timeout=30)


def settle() -> None:
    """A service that has only just begun to serve still works on its start; nobody stops it in that moment."""
    time.sleep(3)
