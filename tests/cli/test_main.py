"""What the whole program takes over from whoever types it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest


def test_what_is_made_for_a_service_can_be_read_by_it_whatever_the_umask_is() -> None:
    script = "import os\nfrom devswap import cli\ntry:\n    cli.main()\nfinally:\n    print(f'{os.umask(0):03o}')"
    argv = [sys.executable, "-c", script, "--version"]
    shown = subprocess.run(argv, umask=0o077, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "022"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP])
def test_whatever_ends_it_from_outside_is_an_interrupt_that_is_rolled_back(number: int) -> None:
    script = f"""
import signal
from devswap import cli
signal.signal({number:d}, signal.SIG_DFL)  # a shell's background jobs, which tests may be, ignore some
def interrupted(**_):
    try:
        signal.raise_signal({number:d})
    except KeyboardInterrupt:
        print("rolled back")
        raise SystemExit(130)
cli.app = interrupted
cli.main()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (130, "rolled back\n")
