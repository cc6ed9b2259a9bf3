"""While a service is taken over, the world goes on: other people, playbooks, reboots, a broken journal."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from devswap.sandbox.changes import HARMLESS, MIGRATION, NEW_REVISION
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.test_takeover import state_folder, swaps_here

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]


def journal_of(cloud: Cloud, service: str = "heat-engine", container: str | None = None) -> Path:
    return state_folder() / "swaps" / f"{service}@lxc:{container or cloud.heat}" / "journal.json"


def halt(cloud: Cloud) -> None:
    subprocess.run(["lxc-stop", "-n", cloud.heat, "--kill"], check=True)


def start(cloud: Cloud) -> None:
    subprocess.run(["lxc-start", "-n", cloud.heat, "--daemon"], check=True)
    wait_until(
        lambda: cloud.run(["systemctl", "is-system-running"], ok=False).stdout.strip() in ("running", "degraded"),
        "the machine is back",
    )


def test_another_user_is_told_who_has_it_and_since_when(cloud: Cloud, desk: Desk, neighbour: Desk) -> None:
    desk.take(HARMLESS)
    first = cloud.start_of_production()
    (mine,) = swaps_here(desk)
    at = ("heat-engine", "--machine", cloud.heat)
    for argv in (
        ("checkout", "heat-engine", "master", "--machine", cloud.heat, "--detach"),
        ("run", *at, "--detach"),
        ("exec", *at, "--", "true"),
    ):
        failed = neighbour.devswap(*argv, code=1)
        assert f"heat-engine is swapped by {desk.person.name}" in failed.stderr
        assert str(mine["since"]) in failed.stderr
        assert ("--take-over" in failed.stderr) == (argv[0] != "exec")  # which has no such option
    assert cloud.start_of_production() == first
    assert desk.person.name in neighbour.devswap("status").stdout


def test_a_playbook_cannot_start_production_beside_development(cloud: Cloud, desk: Desk) -> None:
    terminal = desk.terminal(
        "checkout", "heat-engine", f"review/{cloud.change(HARMLESS).number}", "--machine", cloud.heat
    )
    terminal.expect("answers from")
    terminal.sendcontrol("c")
    terminal.expect("again: devswap run")
    terminal.close()
    for verb in ("start", "restart"):
        failed = cloud.run(["systemctl", verb, "heat-engine"], ok=False)
        assert failed.code != 0
        assert "Assertion failed" in failed.stderr
    assert cloud.engine_processes() == []


def test_a_playbook_that_restarts_the_unit_restarts_development(cloud: Cloud, desk: Desk) -> None:
    mark = desk.cloud.change(HARMLESS).patchsets[-1].shows
    desk.take(HARMLESS)
    first = cloud.start_of_production()
    cloud.run(["systemctl", "daemon-reload"])
    cloud.run(["systemctl", "restart", "heat-engine"])
    assert cloud.start_of_production() != first
    wait_until(lambda: bool(swaps_here(desk)[0]["serving"]), "it serves again")
    assert cloud.create_stack().word.startswith(mark)
    desk.devswap("status", "--check")


@pytest.mark.eras("current")  # strikes restart it on both
def test_a_machine_that_restarts_runs_production_and_run_takes_it_over_again(cloud: Cloud, desk: Desk) -> None:
    mark = cloud.change(HARMLESS).patchsets[-1].shows
    desk.take(HARMLESS)
    halt(cloud)
    start(cloud)
    cloud.wait_for_production()
    assert cloud.sh("ls -d /run/devswap 2>/dev/null || true") == ""
    (now,) = swaps_here(desk)
    assert (now["state"], now["healthy"]) == ("production", False)
    assert "devswap restore heat-engine" in str(now["why"])
    assert not cloud.create_stack().word.startswith(mark[:7])
    desk.devswap("run", "heat-engine", "--machine", cloud.heat, "--detach")
    assert cloud.create_stack().word.startswith(mark)
    assert "facts identical" in desk.restore().stdout


@pytest.mark.eras("2015")
def test_restore_completes_a_migrated_swap_whose_machine_was_restarted(cloud: Cloud, desk: Desk) -> None:
    schema = cloud.schema()
    desk.take(MIGRATION)
    assert NEW_REVISION in cloud.schema()
    halt(cloud)
    start(cloud)
    assert "facts identical" in desk.restore().stdout
    assert cloud.schema() == schema
    cloud.create_stack()


def test_a_stopped_machine_is_named_with_the_line_that_starts_it(cloud: Cloud, desk: Desk) -> None:
    desk.take(HARMLESS)
    halt(cloud)
    try:
        (now,) = swaps_here(desk)
        assert now["state"] == "machine stopped"
        assert f"lxc-start -n {cloud.heat}" in str(now["why"])
        assert f"lxc-start -n {cloud.heat}" in desk.restore(code=3).stderr
        assert f"lxc-start -n {cloud.heat}" in desk.devswap("run", "heat-engine", "--detach", code=3).stderr
    finally:
        start(cloud)
    desk.restore()
    cloud.wait_for_production()


def test_a_checkout_in_a_stopped_machine_names_the_line_that_starts_it(cloud: Cloud, desk: Desk) -> None:
    halt(cloud)
    try:
        failed = desk.checkout("master", code=1)
        assert f"{cloud.heat} is stopped" in failed.stderr
        assert f"lxc-start -n {cloud.heat}" in failed.stderr
    finally:
        start(cloud)
    cloud.wait_for_production()


def test_what_somebody_made_of_the_drop_in_is_not_written_over(cloud: Cloud, desk: Desk) -> None:
    path = "/run/systemd/system/heat-engine.service.d/zz-devswap.conf"
    desk.take(HARMLESS)
    cloud.sh(f"echo Environment=MINE=1 >>{path} && systemctl daemon-reload")
    failed = desk.restore("--machine", cloud.heat, code=3)
    assert f"{path} was changed by somebody else" in failed.stderr
    assert f"mv {path} /root/" in failed.stderr
    assert "MINE=1" in cloud.sh(f"cat {path}")
    cloud.sh(f"mv {path} /root/")
    assert "facts identical" in desk.restore("--machine", cloud.heat).stdout
    assert "MINE=1" in cloud.sh("cat /root/zz-devswap.conf; rm /root/zz-devswap.conf")


def test_a_broken_journal_is_exit_3_and_names_the_way_out(cloud: Cloud, desk: Desk) -> None:
    desk.take(HARMLESS)
    journal = journal_of(cloud)
    good = journal.read_bytes()
    try:
        for content in ("", "{", '{"version": 1, "swap": {}}', '{"version": 99}', "\0" * 200, good[:-200].decode()):
            journal.write_text(content)
            for argv in (["status"], ["restore"], ["run", "heat-engine"]):
                failed = desk.devswap(*argv, code=3)
                assert str(journal) in failed.stderr
                assert "restore.sh" in failed.stderr or "newer" in failed.stderr
    finally:
        journal.write_bytes(good)
    desk.devswap("status", "--check")


def test_the_way_out_by_hand_brings_production_back(cloud: Cloud, desk: Desk) -> None:
    schema = cloud.schema()
    desk.take(MIGRATION)
    assert cloud.schema() != schema
    script = journal_of(cloud).with_name("restore.sh")
    ended = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert cloud.schema() == schema
    cloud.wait_for_production()
    cloud.create_stack()
    assert "facts identical" in desk.restore().stdout


def test_restore_needs_neither_checkout_nor_overlay_nor_catalogue_nor_network(cloud: Cloud, desk: Desk) -> None:
    desk.take(MIGRATION)
    tree = desk.person.checkout(f"review~{cloud.change(MIGRATION).number}")
    desk.person.run("rm", "-rf", str(tree), str(desk.person.home / ".local/share/devswap"))
    nowhere = {"DEVSWAP_BRANCHES_URL": "git://127.0.0.1:9/x", "DEVSWAP_CHANGES_URL": "git://127.0.0.1:9/x"}
    given_back = desk.devswap("restore", "heat-engine", "--json", environment=nowhere)
    (restored,) = json.loads(given_back.stdout)["restored"]
    assert restored["identical"] == len(restored["facts"])
