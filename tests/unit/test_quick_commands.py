"""What people type all day imports nothing that is slow and not needed for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# What it costs to import them, and who needs them: an account of git's, the builder of overlays, tables that are
# watched, and whoever asks a server.
SLOW = ("git", "virtualenv", "rich", "pygments", "packaging.requirements", "urllib.request", "http.client")
ASKED = """
import json, sys
sys.modules["lxc"] = None  # this host's containers are not the test's to look at
from devswap import cli
try:
    cli.main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("typed", [["--help"], ["list"], ["list", "--json"], ["status"], ["status", "--json"]])
def test_nothing_slow_is_imported(typed: list[str], tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ASKED, *typed],
        env={"DEVSWAP_STATE_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    imported = json.loads(ended.stderr.splitlines()[-1])
    assert "devswap.cli" in imported, ended.stderr
    assert [name for name in imported if name in SLOW] == []
