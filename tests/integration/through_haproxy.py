"""Real requests through HAProxy: a bounded load of a second process during a move, and what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tests.integration.cloud import Cloud

RATE, MOST_SECONDS = 20, 90
FILES = "cd /etc/haproxy && find . -type f -printf '%p %m %U:%G\\n' -exec sha256sum {} + | sort"

Seen = dict[str, Any]
UnderLoad = Callable[[str], AbstractContextManager[Seen]]
"""Requests to keystone for as long as the named move takes: none may fail. The count is in the run's report."""


@contextmanager
def load(url: str, *inside: str) -> Iterator[Seen]:
    """Requests for as long as the block takes; what came of them is there afterwards."""
    script = Path(__file__).with_name("load.py").read_text()
    line = [*(inside or (sys.executable,)), "-c", script, url, str(RATE), str(MOST_SECONDS)]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    seen: Seen = {}
    try:
        yield seen
    finally:
        out, _ = process.communicate("enough\n", timeout=MOST_SECONDS + 60)
    seen.update(json.loads(out))


def told(cloud: Cloud, move: str, seen: Seen) -> str:
    """A line for the run's report."""
    return f"{cloud.era}: {move}: {seen['requests']} requests, {len(seen['failures'])} failed"


def balancer(cloud: Cloud) -> str:
    return cloud.container("-haproxy-")


def address(cloud: Cloud) -> str:
    """The one that requests go to from outside."""
    return cloud.containers[balancer(cloud)]
