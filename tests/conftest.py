"""Options of the suite; pytest reads them here before it collects."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.everything import EVERYTHING, VARIABLE

# The same examples each time, few enough for a commit; --hypothesis-profile thorough looks for new ones for longer.
# How long one takes says nothing on a machine that does other things besides.
settings.register_profile("quick", derandomize=True, max_examples=80, deadline=None)
settings.register_profile("thorough", max_examples=2000, deadline=None)
settings.load_profile("quick")

# A shell that starts the suite in the background has it ignore Ctrl-C, nohup has it ignore a lost terminal, and every
# program that a test presses or hangs up on would ignore it too.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LONG = 10
_REPORTED = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("devswap")
    group.addoption("--strikes", type=int, default=10, metavar="N", help="how often a real swap is killed, on each era")
    group.addoption(
        "--era", action="append", metavar="ERA", help="only what needs this sandbox: current or 2015; repeatable"
    )
    group.addoption("--no-cloud", action="store_true", help="only what needs no sandbox")
    group.addoption(
        "--with", action="append", default=[], metavar="PROJECT", help="sandboxes have it too, and it is tested"
    )
    group.addoption(
        "--part", default="1/1", metavar="K/N", help="only the K-th of N parts of about the same length, whole modules"
    )
    group.addoption("--keep-sandbox", action="store_true", help="leave a sandbox that this run has built")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what --era and --no-cloud do not ask for, so that runs side by side do nothing twice.

    And what is about services that no sandbox has unless --with asks for them. What takes minutes is skipped unless
    everything is asked for.
    """
    for item in items:
        if not EVERYTHING and _takes_minutes(item):
            item.add_marker(pytest.mark.skip(reason=f"it takes minutes: {VARIABLE}=1, as scripts/test --all"))
    wanted = {None} if config.getoption("--no-cloud") else set(config.getoption("--era") or ())
    added = set(config.getoption("--with"))
    meant = [item for item in items if (not wanted or _era(item) in wanted) and _added(item) <= added]
    part, parts = map(int, config.getoption("--part").split("/"))
    modules = _parts(meant, parts)[part - 1]
    chosen = {item for item in meant if item.path in modules}
    if left_out := [item for item in items if item not in chosen]:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item in chosen]


def _parts(items: list[pytest.Item], parts: int) -> list[set[Path]]:
    """The modules of `items` in `parts` of about the same length: what kills takes as long as many others."""
    weights: Counter[Path] = Counter()
    for item in items:
        if not item.get_closest_marker("skip"):
            weights[item.path] += _LONG if item.get_closest_marker("strikes") else 1
    found: list[Counter[Path]] = [Counter() for _ in range(parts)]
    for path, weight in sorted(weights.items(), key=lambda one: (-one[1], one[0])):
        min(found, key=lambda each: each.total())[path] = weight
    return [set(each) for each in found]


def _added(item: pytest.Item) -> set[str]:
    """What its sandbox must have besides."""
    return {name for mark in item.iter_markers("added") for name in mark.args}


def _takes_minutes(item: pytest.Item) -> bool:
    """On each era, or on those that the mark names."""
    return any(not mark.args or _era(item) in mark.args for mark in item.iter_markers("minutes"))


def _era(item: pytest.Item) -> str | None:
    """Of the sandbox that it needs; None where it needs none."""
    found = (
        item.callspec.params.get("cloud") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    )
    return found if "integration" in item.path.parts and isinstance(found, str) else None


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """A command that runs in this process may leave a signal ignored; so would the programs of later tests."""
    before = [signal.getsignal(number) for number in _SIGNALS]
    yield
    for number, handler in zip(_SIGNALS, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Says a line at the end of the whole run: a count that was reached, a time that was measured."""
    return request.config.stash.setdefault(_REPORTED, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(_REPORTED, []):
        terminalreporter.write_line(line)
