"""Breakpoints that no source holds: where they stop, and what is refused before anything is started."""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

from devswap import breakpoints, debugging, known_modules, process, systemd
from devswap.breakpoints import Tree, parse
from devswap.debugger import breakpoints as inside
from devswap.errors import DevswapError, UsageError
from tests.unit import examples

SOURCE = textwrap.dedent(
    '''\
    from __future__ import annotations

    def plain(value):
        """Says so."""
        # a comment
        first = (
            value + 1
        )
        for each in range(3):
            first += each
        if first:
            pass
        else:
            first = 1
        return first


    class Engine:
        @staticmethod
        def plain(value):
            return value

        def outer(self):
            def inner(value):
                return value
            return inner(2)

    def plain(value): return value
    '''
)


def stops(location: str, call: str, monkeypatch: pytest.MonkeyPatch, source: str = SOURCE) -> list[int]:
    """The lines at which a run of `call` stops: each is the one that is traced next, as the prompt shows it."""
    tree = ast.parse(source)
    assert inside.insert(tree, parse(location).as_json())
    found: list[int] = []

    def begin(frame: Any) -> None:
        def trace(frame: Any, event: str, argument: object) -> None:
            if event == "line":
                found.append(frame.f_lineno)
                frame.f_trace = None
            sys.settrace(None)

        frame.f_trace = trace
        sys.settrace(trace)

    monkeypatch.setattr(inside, "begin", begin)
    names: dict[str, Any] = {"__name__": "engine"}
    try:
        exec(compile(tree, "engine.py", "exec", dont_inherit=True), names)
        exec(call, names)
    finally:
        sys.settrace(None)
    return found


@pytest.mark.parametrize(
    ("location", "call", "lines"),
    [
        ("x.py:9", "plain(1)", [9]),
        ("x.py:8", "plain(1)", [7]),  # in the midst of a statement, whose first part is in line 7
        ("x.py:5", "plain(1)", [7]),  # a comment
        ("x.py:10", "plain(1)", [10, 10, 10]),
        ("x.py:14", "plain(-4)", [14]),
        ("x.py:3", "plain(1)", [7]),  # the function
        ("x.py:1", "plain(1)", [7]),
        ("engine:Engine.plain", "Engine.plain(1)", [21]),
        ("engine:Engine.outer", "Engine().outer()", [24]),
        ("x.py:25", "Engine().outer()", [25]),
        ("x.py:9 if value == 2", "[plain(each) for each in (1, 2, 3)]", [9]),
        ("x.py:9 if nonsense", "plain(1)", [9]),
    ],
)
def test_it_stops_at_the_statement_that_is_meant(
    location: str, call: str, lines: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = SOURCE.rpartition("\n\ndef plain")[0] + "\n"  # the second one hides the first
    assert stops(location, call, monkeypatch, source) == lines


def test_the_definition_in_force_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    assert stops("engine:plain", "plain(1)", monkeypatch) == [28]


@pytest.mark.parametrize("location", ["x.py:99", "engine:Engine", "engine:nobody", "engine:Engine.nobody"])
def test_no_place_is_no_place(location: str) -> None:
    assert not inside.insert(ast.parse(SOURCE), parse(location).as_json())


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "x.py", "x.py:", ":3", "x.py:a-b", "heat.engine:a b", "x.py:3 if (", "x.py:3 if a =", "x.py:3 if"),
        *("x.py:3 if ", "x.py:3 if (yield)", "x.py:\N{SUPERSCRIPT TWO}", f"x.py:{'9' * 5000}"),
    ],
)
def test_what_is_no_breakpoint_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "heat").mkdir()
    (tmp_path / "heat/__init__.py").write_text("def start():\n    pass\n")
    (tmp_path / "heat/engine.py").write_text(SOURCE)
    (tmp_path / "heat/new.py").write_text("this is of another Python {\n")
    return tmp_path


@pytest.mark.parametrize(
    "text", ["heat/engine.py:9", "./heat/engine.py:9", "heat.engine:plain", "heat:start", "oslo.db:x"]
)
def test_places_of_the_checkout_are_found(checkout: Path, text: str) -> None:
    breakpoints.require(parse(text), [Tree(checkout, "")], "heat")
    breakpoints.require(parse("heat/new.py:1"), [Tree(checkout, "")], "heat")  # the service's Python will know


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("heat/engine.py:99", "has no line 99"),
        ("heat/nothing.py:1", "has no file heat/nothing.py"),
        ("../outside.py:1", "has no file"),
        ("heat.engine:Engine.nobody", "has no function Engine.nobody"),
        ("heat.nothing:x", "has no file heat/nothing.py"),
    ],
)
def test_places_that_are_not_there_are_said_before_production_stops(checkout: Path, text: str, said: str) -> None:
    with pytest.raises(DevswapError, match=said):
        breakpoints.require(parse(text), [Tree(checkout, "")], "heat")


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Iterator[list[str]]:
    """Breakpoints are installed; what was stopped at, by qualified name."""
    stopped: list[str] = []
    loader = SourceFileLoader
    monkeypatch.setattr(loader, "get_code", loader.get_code)
    monkeypatch.setattr(inside, "begin", lambda frame: stopped.append(frame.f_code.co_name))
    monkeypatch.syspath_prepend(str(checkout))
    yield stopped
    for name in [name for name in sys.modules if name.partition(".")[0] == "heat"]:
        del sys.modules[name]


def test_modules_are_loaded_with_them_and_one_that_has_no_place_is_said(checkout: Path, loading: list[str]) -> None:
    wanted = [
        parse(text).as_json([Tree(checkout, str(checkout))])
        for text in ("heat/engine.py:21", "heat:start", "heat:gone")
    ]
    said: list[str] = []
    inside.install(wanted, said.append, str(checkout / "placed"))
    import heat.engine  # type: ignore[import-not-found]

    heat.start()
    heat.engine.Engine.plain(1)
    assert loading == ["start", "plain"]
    assert said == [f"no breakpoint at heat:gone: {checkout}/heat/__init__.py has no such place"]
    assert (checkout / "placed").read_text().split() == ["heat:start", "heat/engine.py:21"]


def test_a_file_is_named_as_in_the_checkout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="named as in the checkout"):
        breakpoints.require(parse(f"{tmp_path}/heat/x.py:3"), [Tree(tmp_path, "")], "heat")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """Of a layout with its packages below src."""
    folder = tmp_path / "library"
    (folder / "src/oslo_db").mkdir(parents=True)
    (folder / "src/oslo_db/api.py").write_text("def wrapped():\n    pass\n")
    return folder


@pytest.mark.parametrize("text", ["src/oslo_db/api.py:2", "oslo_db.api:wrapped", "heat.engine:plain"])
def test_places_of_libraries_that_run_from_checkouts_are_found(checkout: Path, library: Path, text: str) -> None:
    breakpoints.require(parse(text), [Tree(checkout, ""), Tree(library, "")], "heat")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("src/oslo_db/api.py:9", "src/oslo_db/api.py has no line 9"),
        ("oslo_db.api:gone", "src/oslo_db/api.py has no function gone"),
        ("oslo_db.gone:x", "no checkout has a file src/oslo_db/gone.py"),
        ("oslo_db/api.py:2", "no checkout has a file oslo_db/api.py"),
    ],
)
def test_places_that_libraries_have_not_are_said(checkout: Path, library: Path, text: str, said: str) -> None:
    with pytest.raises(DevswapError, match=said):
        breakpoints.require(parse(text), [Tree(checkout, ""), Tree(library, "")], "heat")


def test_the_service_is_told_of_a_file_where_its_machine_has_it(checkout: Path, library: Path) -> None:
    known = debugging.trees(
        examples.swap(
            checkout=str(checkout), slot=2, libraries=[{"folder": "oslo-db", "checkout": str(library), "packages": []}]
        )
    )
    assert parse("heat/engine.py:9").as_json(known)["file"] == "/run/devswap/heat-engine/2/checkout/heat/engine.py"
    of_library = parse("src/oslo_db/api.py:2").as_json(known)["file"]
    assert of_library == "/run/devswap/heat-engine/2/with/oslo-db/src/oslo_db/api.py"
    elsewhere = [parse(text) for text in ("heat.engine:plain", "oslo_db.api:wrapped", "oslo_log.log:x")]
    assert [each.text for each in breakpoints.elsewhere(elsewhere, known)] == ["oslo_log.log:x"]


def test_modules_that_the_service_could_not_import_are_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_in_unit(machine: object, unit: str, argv: list[str], **options: object) -> process.Result:
        return process.run(argv, cwd=str(tmp_path))

    monkeypatch.setattr(systemd, "run_in_unit", run_in_unit)
    machine: Any = None
    wanted = ["json.decoder", "json.nothing", "threading", "nothing.at.all", "_thread"]
    found = known_modules.missing(machine, "heat-engine", sys.executable, {"user": "heat", "group": "heat"}, wanted)
    assert found == ["json.nothing", "nothing.at.all", "_thread"]
