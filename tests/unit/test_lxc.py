"""Containers as LXC's bindings show them, without the bindings."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from devswap.backends.lxc import Lxc, _Process
from devswap.process import Result


def test_two_threads_may_ask_at_once_whether_the_machine_still_runs() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        known = _Process(child.pid)
        with ThreadPoolExecutor(4) as threads:
            told = [threads.submit(lambda: [known.lives() for _ in range(5000)]) for _ in range(4)]
        assert all(all(each.result()) for each in told)
        child.kill()
        child.wait()
        assert not known.lives()


def test_the_way_in_is_told_from_what_runs_inside() -> None:
    said = {
        "lxc-attach: web: ../src/lxc/attach.c: get_attach_context: 406 - Failed to get init pid": True,
        'lxc-attach: web: ../src/lxc/attach.c: lxc_attach_run_command: 1841 No such file - Failed to exec "env"': False,
        "Failed to connect to bus: Connection refused": False,
    }
    for text, wanted in said.items():
        assert Lxc("web").was_shut(Result(("lxc-attach",), 1, "", f"{text}\n")) == wanted
