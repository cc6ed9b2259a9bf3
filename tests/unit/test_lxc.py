"""Containers as LXC's bindings show them, without the bindings."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from devswap.backends.lxc import _Process


def test_two_threads_may_ask_at_once_whether_the_machine_still_runs() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        known = _Process(child.pid)
        with ThreadPoolExecutor(4) as threads:
            told = [threads.submit(lambda: [known.lives() for _ in range(5000)]) for _ in range(4)]
        assert all(all(each.result()) for each in told)
        child.kill()
        child.wait()
        assert not known.lives()
