"""How an editor attaches: by an entry in a file that may have others, on an address that no stranger reaches."""

from __future__ import annotations

import importlib
import json
import os
import pdb
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from devswap import attaching, debugging, development, options, systemd
from devswap import swap as swap_again
from devswap.debugger import others, post_mortem, prompt
from devswap.errors import DevswapError, UsageError
from devswap.invoker import UserHome
from devswap.journal import Swap
from devswap.probe import Question
from devswap.tuning import Changes, Tuning
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
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


def test_libraries_that_run_from_checkouts_are_mapped_as_well(tmp_path: Path) -> None:
    library = {"folder": "oslo-messaging", "checkout": str(tmp_path / "messaging")}
    found = attaching.entry(examples.swap(slot=2, tuning=DEBUGPY.as_json(), libraries=[library]))
    there = {each["localRoot"]: each["remoteRoot"] for each in found["pathMappings"]}
    assert there[str(tmp_path / "messaging")] == "/run/devswap/heat-engine/2/with/oslo-messaging"


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
    assert debugging.with_address(chosen, ["10.0.3.5"], {5678, 5679, 5681}).listen == "10.0.3.5:5680"
    with pytest.raises(UsageError, match="public address"):
        debugging.with_address(chosen, ["8.8.8.8"])
    assert debugging.with_address(Tuning(debugger="debugpy", listen="8.8.8.8:1"), []).listen == "8.8.8.8:1"
    assert debugging.with_address(Tuning(listen="8.8.8.8:1"), []).listen == ""


def checkout(cloud: SimulatedCloud, service: str, **chosen: Any) -> Swap:
    wish = Wish(service, "plain", None, None, detach=True, changes=Changes(debugger="debugpy", **chosen))
    swap_again.checkout(cloud.host(), wish, cloud.makers)
    return next(journal.swap for journal in cloud.host().journals.all() if journal.swap.service == service)


def test_two_services_in_one_machine_have_a_port_each(cloud: SimulatedCloud) -> None:
    ports = [Tuning.read(checkout(cloud, name).tuning).listen for name in ("heat-engine", "heat-api")]
    address = cloud.machine(images.HEAT).addresses()[0]
    assert ports == [f"{address}:5678", f"{address}:5679"]
    assert f"port 5678 is taken in {images.HEAT}: debugpy listens on {address}:5679" in cloud.said
    assert Tuning.read(checkout(cloud, "heat-api").tuning).listen == ports[1], "kept for the swap"


SERVER = "[Service]\nExecStart=/usr/bin/python3 -m http.server {port} --bind 0.0.0.0\n"


def listen_elsewhere(cloud: SimulatedCloud, port: int) -> None:
    machine = cloud.machine(images.HEAT)
    images.put(machine.files, "/usr/bin/python3", "")
    machine.write_text("/run/systemd/system/other.service", SERVER.format(port=port))
    systemd.reload(machine)
    systemd.start(machine, "other.service")


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(
    ("somebody", "why"),
    [
        ("the service", ""),
        ("nobody", "it makes way for eventlet"),
        ("another", f"somebody else in {images.HEAT} has port 5678"),
    ],
)
def test_how_to_attach_is_said_of_the_services_own_listener_and_else_that_there_is_none(
    cloud: SimulatedCloud, somebody: str, why: str, *, wait: bool
) -> None:
    cloud.eventlet = somebody == "nobody"
    if somebody == "another":
        listen_elsewhere(cloud, 5678)
    said = checkout(cloud, "heat-engine", listen="10.0.0.1:5678", wait_for_client=wait)
    told = attaching.told(said) in cloud.said
    assert told == (somebody == "the service" or (somebody == "nobody" and wait)), "who waits is told before"
    complaints = [line for line in cloud.said if line.startswith("debugpy does not listen in heat-engine: ")]
    assert len(set(complaints)) == bool(why)
    assert all(why in line for line in complaints)


def test_launch_json_is_written_for_the_services_own_listener_only(cloud: SimulatedCloud) -> None:
    listen_elsewhere(cloud, 5678)
    for port, is_ours in ((5678, False), (5680, True)):
        swapped = checkout(cloud, "heat-engine", listen=f"10.0.0.1:{port}", launch_folder=".vscode")
        assert (Path(swapped.checkout) / ".vscode/launch.json").exists() == is_ours


def test_a_service_that_waits_for_an_editor_is_given_time_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("plain")
    cloud.balance()
    given: list[float] = []
    usual = Question.begin

    def begin(self: Question, *, seconds: float) -> None:
        given.append(seconds)
        usual(self, seconds=seconds)

    monkeypatch.setattr(Question, "begin", begin)
    waits = Changes(debugger="debugpy", listen="10.0.0.1:5678", wait_for_client=True)
    for changes, patient in ((waits, True), (Changes(wait_for_client=False), True), (Changes(debugger="pdb"), False)):
        with no_waiting(monkeypatch):
            wish = Wish("heat-api", "plain", None, None, detach=True, changes=changes)
            swap_again.checkout(cloud.host(), wish, cloud.makers)
        (journal,) = cloud.host().journals.all()
        machine = cloud.host().machine(journal.swap.machine)
        text = machine.read_text(development.path(journal.swap.unit)) or ""
        assert ("TimeoutStartSec=infinity" in text) == patient
        haproxy = cloud.host().machine(f"lxc:{images.HAPROXY}").read_text("/etc/haproxy/haproxy.cfg") or ""
        assert ("timeout server 1h" in haproxy) == patient
    usual_time = cloud.host().settings.wait
    assert [each for each in given if each] == [3600.0, usual_time, usual_time]
    assert [line for line in cloud.said if "waits until an editor has attached to 10.0.0.1:5678" in line]


@pytest.fixture(autouse=True)
def service(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in force in a service, for these tests only."""
    monkeypatch.setattr(pdb, "Pdb", prompt.Prompt)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A stand-in for debugpy; what was asked of it."""
    asked: list[Any] = []
    module: Any = ModuleType("debugpy")
    module.configure = lambda **options: asked.append(options)
    module.listen = lambda address: asked.append(("listen", address))
    module.trace_this_thread = lambda traced: asked.append(("trace", traced))
    module.wait_for_client = lambda: asked.append("wait")
    module.is_client_connected = lambda: "connected" in asked
    pydevd: Any = ModuleType("pydevd")
    pydevd.settrace = lambda **options: asked.append(options["stop_at_frame"].f_code.co_name)
    stop = lambda thread, frame, frames, error: asked.append((frame.f_code.co_name, len(frames), error[1]))  # noqa: E731
    inside = SimpleNamespace(is_tracing=0)
    pydevd.get_global_debugger = lambda: SimpleNamespace(
        set_additional_thread_info=lambda _: inside, do_stop_on_unhandled_exception=stop
    )
    for name, each in (("debugpy", module), ("pydevd", pydevd)):
        monkeypatch.setitem(sys.modules, name, each)
    monkeypatch.setattr(SourceFileLoader, "exec_module", SourceFileLoader.exec_module)
    return asked


def test_debugpy_listens_when_the_service_itself_is_loaded_and_stops_where_pdb_would(
    tmp_path: Path, server: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    chosen = others.debugpy("127.0.0.1", 5678, wait=True, package="servicecode", say=said.append)
    monkeypatch.setattr(prompt.Prompt, "other", chosen)
    assert server == []
    (tmp_path / "servicecode.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("servicecode")
    # in uWSGI the process is no Python
    assert server == [{"python": f"{sys.prefix}/bin/python"}, ("listen", ("127.0.0.1", 5678)), "wait"]
    pdb.Pdb().set_trace(sys._getframe())
    assert "no client is connected" in said[-1]
    server.append("connected")
    pdb.Pdb().set_trace(sys._getframe())
    assert server[-1] == "test_debugpy_listens_when_the_service_itself_is_loaded_and_stops_where_pdb_would"
    del sys.modules["servicecode"]


def test_debugpy_stops_where_an_exception_was_raised(server: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(prompt.Prompt, "other", others.debugpy("", 1, wait=False, package="none", say=said.append))
    wrong = [raised(), raised()]
    post_mortem.examine(wrong[0])
    assert (said, server) == (["passed ValueError: no client is connected"], [])
    server.append("connected")
    post_mortem.examine(wrong[1])
    assert server[-1] == ("method", 2, wrong[1])


def raised() -> ValueError:
    def method() -> None:
        raise ValueError

    try:
        method()
    except ValueError as error:
        return error
    raise AssertionError


def test_pudb_opens_its_screen_where_an_exception_was_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    class Debugger:
        """Of pudb, as far as it is used."""

        ui = SimpleNamespace(screen=SimpleNamespace())
        post_mortem = False

        def __init__(self, **streams: Any) -> None:
            pass

        def reset(self) -> None:
            seen.append("reset")

        def interaction(self, frame: object, error: Any, *, show_exc_dialog: bool) -> None:
            seen.append((self.post_mortem, frame, error[1], os.isatty(0)))

    module: Any = ModuleType("pudb.debugger")
    module.Debugger = Debugger
    monkeypatch.setitem(sys.modules, "pudb", ModuleType("pudb"))
    monkeypatch.setitem(sys.modules, "pudb.debugger", module)
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    leader, follower = os.openpty()
    chosen = others.pudb(os.ttyname(follower), str(tmp_path), lambda _: None)
    monkeypatch.setattr(prompt.Prompt, "other", chosen)
    error = raised()
    post_mortem.examine(error)
    post_mortem.examine(error)  # once is enough
    assert seen == ["reset", (True, None, error, True)]
    os.close(leader)
    post_mortem.examine(raised())  # with the terminal gone
    assert len(seen) == 2
    os.close(follower)


def test_debugpy_makes_way_for_eventlet(tmp_path: Path, server: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    sys.modules["pydevd"].stoptrace = lambda: server.append("ended")  # type: ignore[attr-defined]
    chosen = others.debugpy("127.0.0.1", 5678, wait=False, package="none", say=said.append)
    (tmp_path / "eventlet").mkdir()
    (tmp_path / "eventlet/__init__.py").write_text("from eventlet import patcher\nmonkey_patch = patcher.monkey_patch")
    (tmp_path / "eventlet/patcher.py").write_text("def monkey_patch(**what):\n    return what")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "eventlet"]:
        monkeypatch.delitem(sys.modules, name)
    eventlet = importlib.import_module("eventlet")
    assert eventlet.monkey_patch(os=False) == {"os": False}
    server.append("connected")
    chosen.begin(sys._getframe())
    assert server == ["ended", "connected"]
    assert "does not work with eventlet" in said[0]
    assert "no client is connected" in said[1]
    for name in ("eventlet", "eventlet.patcher"):
        del sys.modules[name]


@pytest.mark.parametrize("serves_itself", [True, False])
def test_what_a_service_imports_is_not_traced_unless_requests_come_to_the_same_thread(
    tmp_path: Path,
    server: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    serves_itself: bool,  # noqa: FBT001
) -> None:
    others.debugpy("127.0.0.1", 5678, wait=False, package="traced", say=lambda _: None)
    if serves_itself:
        monkeypatch.setitem(sys.modules, "uwsgi", ModuleType("uwsgi"))
    (tmp_path / "traced.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("traced")
    assert (("trace", False) in server) != serves_itself
    del sys.modules["traced"]


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("127.0.0.1:5678", True),
        ("0.0.0.0:1", True),
        ("999.1.1.1:5678", False),
        ("1.2.3.4:99999", False),
        ("x:1", False),
    ],
)
def test_an_address_to_listen_on_is_one(text: str, *, fits: bool) -> None:
    assert options._is_address(text) == fits
