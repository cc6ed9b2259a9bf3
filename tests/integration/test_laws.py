"""The laws of the steps that need a real database, web server or HAProxy, each in a swap that has it: see laws.py.

The others have theirs on a bare container: tests/contract/test_steps.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap.sandbox import changes
from devswap.sandbox.changes import HARMLESS, MIGRATION
from tests.integration import laws
from tests.integration.cloud import Cloud
from tests.integration.laws import Trial
from tests.integration.people import Desk
from tests.integration.web import keystone

__all__ = ["keystone"]
pytestmark = pytest.mark.sandbox

MAKES = '#!/bin/sh\n# devswap: run-on = machine\n# devswap: makes = yes\necho made >"$DEVSWAP_MADE/it"\n'
SAYS = "#!/bin/sh\n# devswap: run-on = machine\necho the hook has run >&2\n"
# Of heat's own tables the one that has a number in each row of a service
VALUES = """
project = "heat"

[database.put_back]
table = "service"
key = "id"
column = "report_interval"
"""
MEMORIES = ("refresh-front", "run-hook")
"""What they change is nobody's state."""


@pytest.fixture
def own_words(desk: Desk) -> Iterator[None]:
    """Hooks of a person's own, and what their catalogue says besides."""
    own = desk.person.home / ".config/devswap"
    texts = {"hooks/heat-engine/prepared": MAKES, "hooks/heat-engine/stopped": SAYS, "services/heat.toml": VALUES}
    for name, text in texts.items():
        script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1" && chmod 755 "$1"'
        desk.person.run("sh", "-c", script, "sh", str(own / name), text)
    yield
    desk.person.run("rm", "-r", str(own / "hooks"), str(own / "services"))


def tried(desk: Desk, tmp_path: Path, kinds: set[str], *command: str) -> list[Trial]:
    """Each step of these kinds that the command does; all of the kinds are among them."""
    report = tmp_path / "report"
    line = [sys.executable, "-m", "tests.integration.laws", desk.cloud.era, str(report), ",".join(kinds), *command]
    ended = subprocess.run(
        line,
        cwd=Path(__file__).parents[2],
        env=desk.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    trials = laws.read(report)
    assert {trial.kind for trial in trials} == kinds, ended.stderr
    return trials


def assert_lawful(trials: list[Trial]) -> None:
    assert [f"{trial.does}: {line}" for trial in trials for line in trial.broken] == []
    assert [trial.does for trial in trials if not trial.changed and trial.kind not in MEMORIES] == []


@pytest.mark.usefixtures("whole", "own_words")
def test_the_laws_of_a_database_its_values_and_hooks(cloud: Cloud, desk: Desk, tmp_path: Path) -> None:
    change = f"review/{cloud.change(MIGRATION).number}"
    kinds = {"sync-database", "put-back-values", "run-hook", "mount-passing"}
    trials = tried(desk, tmp_path, kinds, "checkout", "heat-engine", change, "--machine", cloud.heat, "--detach")
    assert_lawful(trials)
    (sync,) = (trial for trial in trials if trial.kind == "sync-database")
    assert any("`note` varchar(255)" in line for line in sync.changed)
    assert "facts identical" in desk.restore().stdout


def test_the_laws_of_a_web_server_and_of_haproxy(cloud: Cloud, desk: Desk, keystone: str, tmp_path: Path) -> None:
    """2015's runs in Apache itself; current's has Apache before it."""
    change = changes.change("keystone", HARMLESS, cloud.era)
    line = ("checkout", "keystone", f"review/{change.number}", "--machine", keystone)
    if cloud.era == "2015":
        assert_lawful(tried(desk, tmp_path, {"let-go", "point-site", "haproxy"}, *line, "--apache"))
    else:
        assert_lawful(tried(desk, tmp_path, {"refresh-front", "haproxy"}, *line, "--detach"))
    assert "facts identical" in desk.devswap("restore", "keystone", "--machine", keystone).stdout
