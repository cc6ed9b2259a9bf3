"""Where the bytecode of checkouts is, and for whom."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

import devswap
from devswap import process

_ASK = """
import os, runpy, sys
sys.prefix = "/run/devswap/demo/1/overlay"
os.seteuid(int(sys.argv[2]))
runpy.run_path(sys.argv[1])
from importlib import _bootstrap_external
print(_bootstrap_external.cache_from_source("/run/devswap/demo/1/checkout/demo/engine.py"))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(("uid", "folder"), [(65534, "bytecode/demo"), (0, "checkout/demo")])
def test_root_does_not_believe_what_the_services_user_may_write(tmp_path: Path, uid: int, folder: str) -> None:
    copy = tmp_path / "bytecode.py"
    copy.write_text(Path(devswap.__file__).with_name("bytecode.py").read_text())
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(0o755)
    told = process.run([sys.executable, "-I", "-B", "-c", _ASK, str(copy), str(uid)]).stdout.strip()
    assert told.startswith(f"/run/devswap/demo/1/{folder}/__pycache__/engine.")
