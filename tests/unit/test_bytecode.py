"""Where the bytecode of checkouts is, and for whom."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

import devswap
from devswap import import_check, inside, process

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


def test_a_build_compiles_meanwhile_what_the_service_will_look_for(tmp_path: Path) -> None:
    package = tmp_path / "checkout/demo"
    (package / "tests").mkdir(parents=True)
    for name in ("engine.py", "tests/test_engine.py"):
        (package / name).write_text("WHOSE = 'development'\n")
    (package / "aaa.py").write_text("an error of syntax\n")
    plan = {"checkout": f"{tmp_path}/checkout", "sources": "", "package": "demo", "bytecode": f"{tmp_path}/bytecode"}
    inside._compile_meanwhile(plan)
    assert os.wait()[1] == 0
    (compiled,) = (tmp_path / "bytecode").rglob("*.pyc")
    usual = Path(importlib.util.cache_from_source(str(package / "engine.py")))
    assert compiled.relative_to(tmp_path / "bytecode") == usual.relative_to(tmp_path / "checkout")
    assert not list((tmp_path / "checkout").rglob("*.pyc"))


def _no_modules(package: Path) -> None:
    """What may lie in a tree under the name of a module, before one that is a module."""
    package.mkdir(parents=True)
    os.mkfifo(package / "aaa.py")
    (package / "aab.py").symlink_to("/dev/zero")
    (package / "aac.py").symlink_to("nowhere")
    (package / "aad.py").write_bytes(b"\0")
    with (package / "aae.py").open("wb") as file:
        file.truncate(5 << 30)
    (package / "engine.py").write_text("WHOSE = 'development'\n")
    for name in ("zaa.py", "zab.py"):  # the check compiles the last of a folder's names first, or in whatever order
        (package / name).symlink_to("/dev/zero")


def test_a_build_does_not_wait_for_what_only_has_the_name_of_a_module(tmp_path: Path) -> None:
    _no_modules(tmp_path / "checkout/demo")
    plan = {"checkout": f"{tmp_path}/checkout", "sources": "", "package": "demo", "bytecode": f"{tmp_path}/bytecode"}
    inside._compile_meanwhile(plan)
    assert os.wait()[1] == 0
    assert [path.name.partition(".")[0] for path in (tmp_path / "bytecode").rglob("*.pyc")] == ["engine"]


def test_a_check_does_not_wait_for_what_only_has_the_name_of_a_module(tmp_path: Path) -> None:
    _no_modules(tmp_path / "demo")
    compile_all = import_check._COMPILE.partition("compiler = ")[0]
    code = f"import os, sys{compile_all}compile_all(sys.argv[1:])"
    process.run([sys.executable, "-c", code, str(tmp_path)], timeout=30, env={"PYTHONPYCACHEPREFIX": ""})
    assert [path.name.partition(".")[0] for path in tmp_path.rglob("*.pyc")] == ["engine"]
