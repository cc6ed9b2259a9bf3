"""The main job on a real cloud: heat-engine taken over in the background, serving real stacks, and given back."""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devswap.sandbox.changes import BROKEN_IMPORT, DIES, HARMLESS, MIGRATION, MISSING_PACKAGE, NEW_REVISION, PACKAGE
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud, wait_until
from tests.integration.people import Desk
from tests.integration.repo import Repo

pytestmark = [pytest.mark.sandbox, pytest.mark.usefixtures("whole")]


def state_folder() -> Path:
    return Path(os.environ.get("DEVSWAP_STATE_DIR", "/var/lib/devswap"))


def swap_of(desk: Desk) -> dict[str, Any]:
    (mine,) = [
        swap
        for swap in clouds.swaps(desk.devswap("status", "--json").stdout)
        if swap["machine"] == f"lxc:{desk.cloud.heat}"
    ]
    return mine


def callers_wait(cloud: Cloud) -> list[str]:
    """How long heat-api was told to wait for heat-engine's answers, as its process has it."""
    api = cloud.container("-heat-apis-" if cloud.era == "2015" else "-heat-api-")
    script = 'tr "\\0" "\\n" </proc/$(systemctl show heat-api --value -p MainPID)/environ | grep RPC_RESPONSE || true'
    return [line.partition("=")[2] for line in cloud.sh(script, on=api).splitlines()]


def test_list_shows_heat_engine_with_the_version_that_runs(cloud: Cloud, desk: Desk) -> None:
    listed = json.loads(desk.devswap("list", "--json").stdout)
    assert listed["version"] == 1
    here = [row for row in listed["services"] if row["machine"] == f"lxc:{cloud.heat}"]
    (mine,) = [row for row in here if row["service"] == "heat-engine"]
    (metadata,) = cloud.sh(
        "ls -d /openstack/venvs/heat-*/lib/python3*/site-packages/openstack_heat-*.dist-info"
    ).split()
    assert mine == {
        "service": "heat-engine",
        "project": "heat",
        "machine": f"lxc:{cloud.heat}",
        "unit": "heat-engine.service",
        "state": "active",
        "version": metadata.rpartition("/")[2].removeprefix("openstack_heat-").removesuffix(".dist-info"),
        "swapped": None,
        "unsupported": None,
    }
    assert cloud.heat in desk.devswap("list").stdout


def test_a_harmless_change_serves_a_real_stack_and_goes_without_a_trace(cloud: Cloud, desk: Desk) -> None:
    change = cloud.change(HARMLESS)
    mark = change.patchsets[-1].shows
    taken = desk.take(HARMLESS, "--patient")
    assert "answers from" in taken.stderr
    assert callers_wait(cloud) == ["3600"]
    during = cloud.create_stack()
    assert during.word.startswith(mark)
    shown = desk.devswap("status").stdout
    assert f"heat-engine in lxc:{cloud.heat}: running, serving" in shown
    assert change.subject in shown
    now = swap_of(desk)
    assert (now["state"], now["serving"], now["healthy"], now["mode"]) == ("running", True, True, "detached")
    assert str(now["owner"]).startswith(f"{desk.person.name}@")
    assert desk.devswap("status", "--check").code == 0
    assert f"{now['ref']} by {desk.person.name}" in desk.devswap("list").stdout
    given_back = desk.restore()
    assert callers_wait(cloud) == []
    assert f"production is back in lxc:{cloud.heat}" in given_back.stdout
    assert int(given_back.stdout.split(" facts identical")[0].split()[-1]) > 5
    assert not cloud.create_stack().word.startswith(mark[:7])
    assert cloud.has_stack(during)  # the schema stayed the same, and so do the rows


def test_a_migration_is_made_and_taken_back_with_what_was_written_kept_in_a_save(cloud: Cloud, desk: Desk) -> None:
    before = cloud.schema()
    assert NEW_REVISION not in before
    earlier = cloud.create_stack()
    desk.take(MIGRATION)
    assert f"\n{NEW_REVISION}" in "\n" + cloud.schema()
    assert "`note` varchar(255)" in cloud.schema()
    during = cloud.create_stack()
    saved = set(state_folder().glob("saved/*"))
    given_back = desk.restore()
    assert cloud.schema() == before
    assert cloud.has_stack(earlier)
    assert not cloud.has_stack(during)
    (save,) = set(state_folder().glob("saved/*")) - saved
    assert str(save) in given_back.stderr
    assert "1 rows of stack leave the database" in given_back.stderr
    assert stat.S_IMODE(save.stat().st_mode) == 0o600
    assert stat.S_IMODE(save.parent.stat().st_mode) == 0o700
    text = gzip.decompress(save.read_bytes()).decode(errors="replace")
    assert during.name in text
    assert text.rstrip().splitlines()[-1].startswith("-- Dump completed")
    cloud.create_stack()


@pytest.fixture
def constraints(cloud: Cloud) -> Iterator[None]:
    """What a cloud's repository container keeps of its branch's upper constraints."""
    repo = Repo(cloud)
    with repo.with_files({repo.constraints: f"{MISSING_PACKAGE}===1.0\n".encode()}):
        yield


@pytest.mark.usefixtures("constraints")
def test_a_package_that_the_cloud_lacks_comes_from_the_public_index_and_is_named(cloud: Cloud, desk: Desk) -> None:
    refused = desk.take(PACKAGE, "--index-policy", "private", code=1)
    assert f"the private index lacks {MISSING_PACKAGE}>=4.4.0" in refused.stderr
    ref = f"review/{cloud.change(PACKAGE).number}"
    assert f": devswap checkout heat-engine {ref} --index-policy fallback" in refused.stderr
    assert f"the constraint {MISSING_PACKAGE}===1.0 is left out: " in refused.stderr
    taken = desk.take(PACKAGE)
    (lock,) = swap_of(desk)["packages"]
    assert (lock["package"], lock["from"], lock["where"]) == (MISSING_PACKAGE, None, "public index")
    row = rf"{MISSING_PACKAGE} +- +{re.escape(lock['to'])} +public index +openstack-heat needs {MISSING_PACKAGE}>=4.4.0"
    assert re.search(row, taken.stderr)
    assert re.fullmatch("[0-9a-f]{64}", lock["sha256"])
    wait_until(
        lambda: "engine worker(s)" in desk.devswap("logs", "heat-engine", "--machine", cloud.heat).stdout,
        "its log line",
    )
    desk.restore()


def test_a_package_in_another_version_than_productions_is_named_as_long_as_it_is_swapped(
    cloud: Cloud, desk: Desk
) -> None:
    tree, asked = desk.own_tree("differs"), "import tzdata; print(tzdata.__version__)"
    requirements = tree / "requirements.txt"
    requirements.write_text(f"{requirements.read_text()}tzdata>=2024.1,<2025\n")
    production = cloud.sh(f"/openstack/venvs/heat-*/bin/python -c '{asked}'")
    desk.checkout(str(tree))
    (lock,) = swap_of(desk)["packages"]
    assert (lock["package"], lock["from"]) == ("tzdata", production)
    assert f"\n  packages: tzdata {lock['to']} (production has {production})\n" in desk.devswap("status").stdout
    inside = ("exec", "heat-engine", "--machine", cloud.heat, "--", "python", "-c", asked)
    assert desk.devswap(*inside).stdout.strip() == lock["to"] != production
    desk.restore()


def test_a_checkout_that_does_not_import_costs_no_outage(cloud: Cloud, desk: Desk) -> None:
    before = cloud.start_of_production()
    failed = desk.take(BROKEN_IMPORT, code=1)
    assert "stack_archive" in failed.stderr
    assert "production has not been touched" in failed.stderr
    assert cloud.start_of_production() == before


def test_a_service_that_dies_later_is_reported_and_not_started_again(cloud: Cloud, desk: Desk) -> None:
    desk.take(DIES)
    assert desk.devswap("status", "--check").code == 0
    wait_until(lambda: swap_of(desk)["state"] == "ended", "the engine ends by itself", seconds=20)
    now = swap_of(desk)
    assert "ended with code 1" in str(now["why"])
    assert (now["serving"], now["healthy"]) == (False, False)
    desk.devswap("status", "--check", code=1)
    wait_until(lambda: cloud.engine_processes() == [], "its worker ends with it")
    desk.restore()


def test_a_service_that_does_not_serve_in_time_is_rolled_back_and_its_last_words_shown(
    cloud: Cloud, desk: Desk
) -> None:
    tree = desk.own_tree("deaf")
    desk.edit(
        tree / "heat/cmd/engine.py",
        "def main():\n",
        "def main():\n    print('waits for nothing'); import time; time.sleep(600)\n",
    )
    failed = desk.checkout(str(tree), "--wait", "8", code=1)
    assert "does not serve" in failed.stderr
    assert "waits for nothing" in failed.stderr
    assert "production is back" in failed.stderr
    assert swaps_here(desk) == []


def test_a_service_that_ends_at_once_is_rolled_back_before_the_time_is_over(cloud: Cloud, desk: Desk) -> None:
    tree = desk.own_tree("quitter")
    desk.edit(tree / "heat/cmd/engine.py", "def main():\n", "def main():\n    sys.exit('gives up at once')\n")
    failed = desk.checkout(str(tree), "--wait", "100", code=1)
    assert "ended with code 1" in failed.stderr
    assert "gives up at once" in failed.stderr
    assert swaps_here(desk) == []


def swaps_here(desk: Desk) -> list[dict[str, object]]:
    shown = clouds.swaps(desk.devswap("status", "--json").stdout)
    return [swap for swap in shown if swap["machine"] == f"lxc:{desk.cloud.heat}"]


def test_plan_shows_every_step_with_its_way_back_and_does_none(cloud: Cloud, desk: Desk) -> None:
    before = cloud.start_of_production()
    shown = json.loads(
        desk.devswap(
            "plan", "heat-engine", f"review/{cloud.change(MIGRATION).number}", "--machine", cloud.heat, "--json"
        ).stdout
    )
    said = [step["do"] for step in shown["steps"]]
    assert any("stop heat-engine.service" in line for line in said)
    assert any("dump the database of heat" in line for line in said)
    assert all(step["undo"] for step in shown["steps"])
    assert cloud.start_of_production() == before
    assert swaps_here(desk) == []
