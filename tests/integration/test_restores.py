"""Restores beside each other, beside a run of somebody else's, and what a person tells a restore to leave as it is."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pexpect
import pytest

from devswap.sandbox import changes
from devswap.sandbox.changes import HARMLESS, MIGRATION, NEW_REVISION
from tests.integration.cloud import Cloud, Ran, wait_until
from tests.integration.people import PROGRAM, Desk
from tests.integration.test_foreground import harmless, take
from tests.integration.test_haproxy import shown
from tests.integration.test_meanwhile import journal_of
from tests.integration.test_takeover import state_folder
from tests.integration.through_haproxy import FILES, balancer
from tests.integration.web import HEADER, ask, keystone  # noqa: F401 - a fixture is among them
from tests.simulated.person import commands

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]

DROP_IN = "/run/systemd/system/heat-engine.service.d/zz-devswap.conf"


def types(desk: Desk, line: str) -> str:
    """As somebody copies it from the screen into a shell. What it said."""
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        ["sh", "-c", line],
        env={**desk.environment(), "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, f"{line}: {run.stdout}{run.stderr}"
    return run.stdout + run.stderr


def told(failed: Ran) -> list[str]:
    """The commands in the hint of an error, as they stand there."""
    (hint,) = re.findall(r"^  try: (.*)$", failed.stderr, re.MULTILINE)
    return commands(hint)


@pytest.mark.minutes("2015")
def test_restores_beside_a_run_of_somebody_elses_and_beside_each_other(
    cloud: Cloud, desk: Desk, neighbour: Desk
) -> None:
    terminal = take(neighbour, harmless(neighbour))
    terminal.expect("answers from")
    refused = desk.restore(code=1)
    assert f"heat-engine is in the hands of {neighbour.person.name}" in refused.stderr
    assert "--take-over" in refused.stderr
    assert cloud.engine_processes() != []
    first = desk.start("restore", "heat-engine", "--take-over")
    wait_until(lambda: '"mode": "restoring"' in text_of(journal_of(cloud)), "it is under way", seconds=120)
    first.send_signal(signal.SIGSTOP)
    try:
        second = desk.start("restore", "heat-engine")
        assert second.stderr is not None
        said = [second.stderr.readline() for _ in range(2)]
    finally:
        first.send_signal(signal.SIGCONT)
    assert f"heat-engine was taken over by {neighbour.person.name} on " in said[0]
    assert f"waiting for the restore of {desk.person.name} on " in said[1]
    ended = [each.communicate(timeout=300) for each in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), ended
    assert "facts identical" in ended[0][0]
    assert "heat-engine: was given back already" in ended[1][0]
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert "heat-engine is not swapped: there is nothing to restore" in desk.restore().stdout
    assert "nothing is swapped" in desk.devswap("restore").stdout
    cloud.wait_for_production()


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@contextmanager
def edited(cloud: Cloud, path: str, command: str) -> Iterator[None]:
    """While somebody has made a file and its folder other than they were; afterwards they are, with their times."""
    keep = 'cp -a "$1" /root/theirs.before && touch -r "$(dirname "$1")" /root/theirs.folder'
    back = 'mv /root/theirs.before "$1" && touch -r /root/theirs.folder "$(dirname "$1")" && rm /root/theirs.folder'
    cloud.sh(f"{keep} && {command}", path)
    try:
        yield
    finally:
        cloud.sh(back, path)


@pytest.mark.minutes("2015")
def test_a_snapshot_is_a_whole_dump_and_what_somebody_else_changes_is_told(cloud: Cloud, desk: Desk) -> None:
    """And one's own run on another terminal is ended first."""
    change = cloud.change(HARMLESS)
    terminal = desk.terminal("checkout", "heat-engine", harmless(desk), "--machine", cloud.heat, "--snapshot")
    terminal.expect("answers from")
    (dump,) = (path for path in state_folder().glob("shared/*/*.sql.gz"))
    text = gzip.decompress(dump.read_bytes()).decode(errors="replace")
    assert text.rstrip().splitlines()[-1].startswith("-- Dump completed")
    written = cloud.create_stack()
    assert written.word.startswith(change.patchsets[-1].shows)
    assert written.name not in text
    config, new = "/etc/heat/heat.conf", "/etc/heat/theirs.yaml"
    with edited(cloud, config, f"echo '# theirs' >>{config} && touch {new}"):
        given_back = desk.restore()
        cloud.sh(f"rm {new}")
    assert f"ending devswap checkout of {desk.person.name}" in given_back.stderr
    terminal.expect(pexpect.EOF)
    terminal.close()
    listed = re.findall(r"changed, and not by devswap: file ([^: ]+)", given_back.stdout)
    assert sorted(listed) == [config, new]
    assert "facts identical" in given_back.stdout
    assert cloud.has_stack(written)
    assert not dump.exists()


@pytest.mark.minutes("current")
def test_a_database_that_is_kept_stays_migrated_and_its_dump_loads(cloud: Cloud, desk: Desk) -> None:
    schema, galera = cloud.schema(), cloud.container("-galera-")
    desk.take(MIGRATION)
    migrated, written = cloud.schema(), cloud.create_stack()
    given_back = desk.restore("--keep-database")
    assert cloud.schema() == migrated
    assert NEW_REVISION in migrated
    assert "facts identical" in given_back.stdout
    assert "left as it is: database " in given_back.stdout
    (dump,) = re.findall(r"as it was before: (\S+)", given_back.stderr)
    cloud.wait_for_production()
    assert cloud.has_stack(written)
    cloud.create_stack()  # what the migration has added is in nobody's way
    # for the other tests: what a person would do who wants it back after all
    tables = cloud.sql("SHOW TABLES").split()
    drop = "; ".join(f"DROP TABLE `{name}`" for name in tables)
    load = gzip.decompress(Path(dump).read_bytes()).decode()
    line = ["mariadb", "--init-command=SET foreign_key_checks=0", "heat"]
    cloud.run(line, on=galera, text=f"{drop};\n{load}")
    assert cloud.schema() == schema
    assert not cloud.has_stack(written)


@pytest.mark.minutes("current")
def test_a_drop_in_that_somebody_has_made_anew_is_kept_by_the_line_that_is_told(cloud: Cloud, desk: Desk) -> None:
    desk.take(HARMLESS)
    theirs = "[Service]\\nEnvironment=THEIRS=1\\n"
    cloud.sh(f"printf '{theirs}' >{DROP_IN} && systemctl daemon-reload")
    for _ in range(2):
        failed = desk.restore("--machine", cloud.heat, code=3)
        assert f"{DROP_IN} was changed by somebody else" in failed.stderr
    keep, *_ = told(failed)
    assert keep == f"devswap restore heat-engine --keep-theirs lxc:{cloud.heat}:{DROP_IN}"
    assert "production is back" in types(desk, keep)
    assert "THEIRS=1" in cloud.show("Environment")["Environment"]
    assert "/openstack/venvs/" in cloud.show("ExecStart")["ExecStart"]
    assert "nothing is swapped" in desk.devswap("restore").stdout
    cloud.sh(f"rm -r {Path(DROP_IN).parent} && systemctl daemon-reload && systemctl restart heat-engine")
    cloud.wait_for_production()


# what somebody does to HAProxy's file meanwhile, and the option that is told to leave it so
_EDITS = {
    "--keep-theirs": "sed -i '/ server .*keystone/ s/ backup$/ weight 50 backup/' /etc/haproxy/haproxy.cfg",
    "--skip": "echo nonsense >>/etc/haproxy/haproxy.cfg",
}


@pytest.mark.parametrize(
    "option",
    [
        pytest.param("--keep-theirs", marks=pytest.mark.minutes("2015")),
        pytest.param("--skip", marks=pytest.mark.minutes("current")),
    ],
)
def test_what_somebody_makes_of_haproxys_file_is_left_by_the_line_that_is_told(
    cloud: Cloud,
    desk: Desk,
    keystone: str,  # noqa: F811 - the fixture
    option: str,
) -> None:
    """Production is back before that is typed, and its requests come to it."""
    on, change = balancer(cloud), changes.change("keystone", HARMLESS, cloud.era)
    before, roles = cloud.sh(FILES, on=on), [server["role"] for server in shown(desk, "keystone_service")]
    cloud.sh("cp -a /etc/haproxy /root/haproxy.before", on=on)
    try:
        desk.devswap("checkout", "keystone", f"review/{change.number}", "--machine", keystone, "--detach")
        cloud.sh(_EDITS[option], on=on)
        theirs = cloud.sh("cat /etc/haproxy/haproxy.cfg", on=on)
        for _ in range(2):
            failed = desk.devswap("restore", "keystone", code=3)
            assert "HAProxy" in failed.stderr
            assert HEADER not in ask(cloud, keystone, 5000)
        (leave,) = [line for line in told(failed) if option in line]
        assert "production is back" in types(desk, leave)
        assert "nothing is swapped" in desk.devswap("restore").stdout
        kept = cloud.sh("cat /etc/haproxy/haproxy.cfg", on=on)
        assert [line for line in theirs.splitlines() if "weight 50" in line or line == "nonsense"] == [
            line for line in kept.splitlines() if "weight 50" in line or line == "nonsense"
        ]
    finally:
        back = "rm -rf /etc/haproxy && mv /root/haproxy.before /etc/haproxy && systemctl reload haproxy"
        cloud.sh(back, on=on)
    assert cloud.sh(FILES, on=on) == before
    assert [server["role"] for server in shown(desk, "keystone_service")] == roles
    cloud.wait_for_api()
