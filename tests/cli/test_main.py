"""What the whole program takes over from whoever types it."""

from __future__ import annotations

import subprocess
import sys


def test_what_is_made_for_a_service_can_be_read_by_it_whatever_the_umask_is() -> None:
    script = "import os\nfrom devswap import cli\ntry:\n    cli.main()\nfinally:\n    print(f'{os.umask(0):03o}')"
    argv = [sys.executable, "-c", script, "--version"]
    shown = subprocess.run(argv, umask=0o077, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "022"
