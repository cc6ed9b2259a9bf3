"""A migration that hangs is in the way of those who work on its database, and of nobody else."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from devswap.sandbox import changes
from devswap.sandbox.changes import HARMLESS, MIGRATION, NEW_REVISION
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.web import keystone  # noqa: F401 - a fixture

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole"), pytest.mark.minutes]
_AT_WORK = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'ALTER TABLE stack ADD%'"


def test_a_restore_of_one_project_does_not_wait_for_the_migration_of_another(
    cloud: Cloud,
    desk: Desk,
    neighbour: Desk,
    keystone: str,  # noqa: F811
) -> None:
    schema, number = cloud.schema(), cloud.change(MIGRATION).number
    with ExitStack() as running:
        with locked(cloud, "stack"):
            migrates = running.enter_context(
                desk.start("checkout", "heat-engine", f"review/{number}", "--machine", cloud.heat, "--detach")
            )
            wait_until(lambda: cloud.sql(_AT_WORK) == "1", "the migration hangs", seconds=180)
            theirs = changes.change("keystone", HARMLESS, cloud.era).number
            neighbour.devswap("checkout", "keystone", f"review/{theirs}", "--machine", keystone, "--detach")
            assert "facts identical" in neighbour.devswap("restore", "keystone", "--machine", keystone).stdout
            waits = running.enter_context(
                neighbour.start("checkout", "heat-api", f"review/{number}", "--machine", cloud.heat_api, "--detach")
            )
            said = told(waits, "waiting for ")
            assert f"waiting for {desk.person.name} on " in said
            assert "its checkout of heat-engine works on the database heat " in said
            assert migrates.poll() is None
        for process in (migrates, waits):
            out, err = process.communicate(timeout=300)
            assert process.returncode == 0, out + err
    assert NEW_REVISION in cloud.schema()
    cloud.create_stack()
    assert "other swaps hold it" in desk.restore("--machine", cloud.heat).stdout
    last = neighbour.devswap("restore", "heat-api", "--machine", cloud.heat_api)
    assert "facts identical" in last.stdout
    assert cloud.schema() == schema
    cloud.create_stack()


def told(process: subprocess.Popen[str], begins: str) -> str:
    """The line that it says there; it ends before that if it never does."""
    assert process.stderr is not None
    for line in process.stderr:
        if begins in line:
            return line
    raise AssertionError(f"it has never said {begins!r}")


@contextmanager
def locked(cloud: Cloud, table: str) -> Iterator[None]:
    """Somebody reads the table all the time: it cannot be altered meanwhile."""
    line = ["lxc-attach", "--clear-env", "-n", cloud.container("-galera-"), "--", "mariadb", "--unbuffered", "heat"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(f"LOCK TABLES `{table}` READ; SELECT 'locked';\n")
        session.stdin.flush()
        assert session.stdout.readline() == "locked\n"
        yield
        session.stdin.close()
