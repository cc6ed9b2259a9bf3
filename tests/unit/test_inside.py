"""What runs in a machine runs on the machine's Python, which may be older than devswap's own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import devswap
from devswap import inside

OLDEST = (3, 8)
NEWER = {"removeprefix", "removesuffix", "is_relative_to", "waitstatus_to_exitcode", "pairwise", "unparse"}
HERE = Path(devswap.__file__).parent
BROUGHT = ["inside.py", "inside_metadata.py", "bytecode.py", "serve.py", "sqlite_inside.py"]
TEXTS = {
    **{path.name: path.read_text() for path in (*(HERE / name for name in BROUGHT), *HERE.glob("debugger/*.py"))},
    "a script": inside._SCRIPT.format(module="heat.cmd.engine", first="main", call="main"),
    "a script for a web server": inside._WSGI_SCRIPT.format(module="heat.httpd", first="init", call="init"),
    "a script of the checkout's": inside._OWN_SCRIPT.format(path="bin/swift"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_brought_into_a_machine_needs_no_newer_python(name: str) -> None:
    tree = ast.parse(TEXTS[name], feature_version=OLDEST)
    assert not {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & NEWER


def test_a_script_calls_its_function_and_ends_with_what_that_returns(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("import sys\ndef main():\n    print(sys.argv[1:])\n    return 3\n")
    script = tmp_path / "heat-engine"
    script.write_text(inside._SCRIPT.format(module="engine", first="main", call="main"))
    done = subprocess.run([sys.executable, str(script), "--debug"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("['--debug']\n", 3)
