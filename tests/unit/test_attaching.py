"""How an editor attaches: by an entry in a file that may have others, on an address that no stranger reaches."""

from __future__ import annotations

import importlib
import json
import pdb
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devswap import attaching, debugging
from devswap.debugger import others, prompt
from devswap.errors import DevswapError, UsageError
from devswap.invoker import UserHome
from devswap.journal import Swap
from devswap.tuning import Tuning
from tests.unit import examples

DEBUGPY = Tuning(debugger="debugpy", listen="172.29.236.130:5678")


def swap(checkout: Path) -> Swap:
    return examples.swap(checkout=str(checkout), slot=2, tuning=DEBUGPY.as_json())


def test_the_entry_maps_the_checkout_to_where_the_service_has_it(tmp_path: Path) -> None:
    found = attaching.entry(swap(tmp_path))
    assert found["connect"] == {"host": "172.29.236.130", "port": 5678}
    mapping = {"localRoot": str(tmp_path), "remoteRoot": "/run/devswap/heat-engine/2/checkout"}
    assert found["pathMappings"] == [mapping]
    said = attaching.told(swap(tmp_path))
    assert json.dumps(found, indent=2) in said
    assert f"{tmp_path} = /run/devswap/heat-engine/2/checkout" in said


def test_the_file_keeps_what_others_wrote_and_has_one_entry_of_ours(tmp_path: Path) -> None:
    home = UserHome("ada", 1000, None, tmp_path, tmp_path)
    path = attaching.write(swap(tmp_path), ".vscode", home)
    assert path == tmp_path / ".vscode/launch.json"
    path.write_text(json.dumps({"version": "0.2.0", "inputs": [], "configurations": [{"name": "theirs"}]}))
    for _ in range(2):
        attaching.write(swap(tmp_path), ".vscode", home)
    found = json.loads(path.read_text())
    assert [each["name"] for each in found["configurations"]] == ["theirs", "devswap: heat-engine"]
    assert found["inputs"] == []


@pytest.mark.parametrize("text", ["// a comment\n{}", "[]", '{"configurations": 3}'])
def test_a_file_that_would_lose_something_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "launch.json").write_text(text)
    with pytest.raises(DevswapError, match="no plain JSON"):
        attaching.write(swap(tmp_path), ".", UserHome("ada", 1000, None, tmp_path, tmp_path))
    assert (tmp_path / "launch.json").read_text() == text


def test_it_listens_where_no_stranger_comes_unless_somebody_says_so() -> None:
    chosen = Tuning(debugger="debugpy")
    assert debugging.with_address(chosen, ["8.8.8.8", "10.0.3.5"]).listen == "10.0.3.5:5678"
    with pytest.raises(UsageError, match="public address"):
        debugging.with_address(chosen, ["8.8.8.8"])
    assert debugging.with_address(Tuning(debugger="debugpy", listen="8.8.8.8:1"), []).listen == "8.8.8.8:1"
    assert debugging.with_address(Tuning(listen="8.8.8.8:1"), []).listen == ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A stand-in for debugpy; what was asked of it."""
    asked: list[Any] = []
    module: Any = ModuleType("debugpy")
    module.listen = lambda address: asked.append(("listen", address))
    module.wait_for_client = lambda: asked.append("wait")
    module.is_client_connected = lambda: "connected" in asked
    pydevd: Any = ModuleType("pydevd")
    pydevd.settrace = lambda **options: asked.append(options["stop_at_frame"].f_code.co_name)
    for name, each in (("debugpy", module), ("pydevd", pydevd)):
        monkeypatch.setitem(sys.modules, name, each)
    monkeypatch.setattr(SourceFileLoader, "exec_module", SourceFileLoader.exec_module)
    return asked


def test_debugpy_listens_when_the_service_itself_is_loaded_and_stops_where_pdb_would(
    tmp_path: Path, server: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    begin = others.debugpy("127.0.0.1", 5678, wait=True, package="servicecode", say=said.append)
    monkeypatch.setattr(prompt.Prompt, "other", staticmethod(begin))
    monkeypatch.setattr(pdb, "Pdb", prompt.Prompt)
    assert server == []
    (tmp_path / "servicecode.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("servicecode")
    assert server == [("listen", ("127.0.0.1", 5678)), "wait"]
    pdb.Pdb().set_trace(sys._getframe())
    assert "no client is connected" in said[-1]
    server.append("connected")
    pdb.Pdb().set_trace(sys._getframe())
    assert server[-1] == "test_debugpy_listens_when_the_service_itself_is_loaded_and_stops_where_pdb_would"
    del sys.modules["servicecode"]
