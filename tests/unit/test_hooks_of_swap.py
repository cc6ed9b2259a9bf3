"""Hooks in a swap: each stage is told where it is, and what a hook declares is undone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

import pytest

from devswap import hooks, swap
from devswap.errors import DevswapError
from devswap.hooks import Hook
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.snapshot import Snapshot

SERVICE = "heat-engine"
TEXT = "#!/bin/sh\n# devswap: run-on = machine\n{}\n"
NAMED = "# devswap: files = /etc/sudoers.d/devswap-* /etc/systemd/system/*\n"
OWN = "/run/devswap/heat-engine/hooks/note"
SUDOERS = "/etc/sudoers.d/devswap-heat"


def doing(stages: Mapping[str, str], *, uid: int = 0) -> list[Hook]:
    named = "" if uid else NAMED
    return [hooks.read(f"/hooks/{stage}", stage, uid, TEXT.format(named + does)) for stage, does in stages.items()]


def declaring(path: str, text: str = "x\n") -> str:
    return f"echo {shlex.quote(json.dumps({'files': [{'path': path, 'text': text, 'mode': '0440'}]}))}"


def take_over(cloud: SimulatedCloud, ref: str = "migrates") -> None:
    swap.checkout(cloud.host(), Wish(SERVICE, ref, None, None, detach=True), cloud.makers)


def give_back(cloud: SimulatedCloud) -> None:
    for journal in cloud.host().journals.all():
        swap.restore(cloud.host(), journal)


def test_each_stage_is_told_where_it_is(cloud: SimulatedCloud, whole: Snapshot) -> None:
    cloud.hooks = doing(dict.fromkeys(hooks.STAGES, "true"))
    take_over(cloud)
    cloud.hooks = []  # what is run later is what was found then
    swap.run(cloud.host(), SERVICE, None, detach=True)
    give_back(cloud)
    told = cloud.hooks_run
    assert [each["stage"] for each in told] == ["prepared", "stopped", "migrated", "started", "started", "restored"]
    assert {each["machine"] for each in told} == {f"lxc:{images.HEAT}"}
    assert told[0]["checkout"] == f"/run/devswap/{SERVICE}/1/checkout"
    assert told[0]["production"]["config"] == ["/etc/heat/heat.conf"]
    assert images.PASSWORD not in json.dumps(told)
    assert differences(cloud, whole) == []


def test_what_a_hook_declares_is_there_while_production_is_stopped(cloud: SimulatedCloud, whole: Snapshot) -> None:
    cloud.hooks = doing({"prepared": declaring(SUDOERS, "heat ALL\n")})
    take_over(cloud)
    files = cloud.machine(images.HEAT).files
    found = files.find(SUDOERS)
    assert found is not None
    assert files.read(SUDOERS) == b"heat ALL\n"
    give_back(cloud)
    assert differences(cloud, whole) == []


def test_another_checkout_has_what_its_own_hooks_declare(cloud: SimulatedCloud, whole: Snapshot) -> None:
    cloud.hooks = doing({"prepared": declaring(SUDOERS, "one\n"), "stopped": "true"})
    take_over(cloud)
    cloud.hooks = doing({"prepared": declaring(SUDOERS, "two\n")})
    cloud.checkout("other")
    take_over(cloud, "other")
    files = cloud.machine(images.HEAT).files
    assert files.read(SUDOERS) == b"two\n"
    cloud.hooks = []
    take_over(cloud, "plain")
    assert files.read(SUDOERS) is None
    give_back(cloud)
    assert differences(cloud, whole) == []


def test_development_has_the_options_that_hooks_declare_and_production_has_not(
    cloud: SimulatedCloud, whole: Snapshot
) -> None:
    options = {"OS_AGENT__ROOT_HELPER": "sudo 50%"}
    cloud.hooks = doing({"prepared": f"echo {shlex.quote(json.dumps({'environment': options}))}"})
    take_over(cloud)
    drop_in = cloud.machine(images.HEAT).files.read("/run/systemd/system/heat-engine.service.d/zz-devswap.conf")
    assert drop_in is not None
    assert b'"OS_AGENT__ROOT_HELPER=sudo 50%%"' in drop_in
    cloud.hooks = []
    take_over(cloud, "plain")
    drop_in = cloud.machine(images.HEAT).files.read("/run/systemd/system/heat-engine.service.d/zz-devswap.conf")
    assert drop_in is not None
    assert b"ROOT_HELPER" not in drop_in
    give_back(cloud)
    assert differences(cloud, whole) == []


def test_a_plan_shows_what_hooks_do_and_leaves_nothing(cloud: SimulatedCloud, whole: Snapshot) -> None:
    cloud.hooks = doing({"prepared": declaring(OWN), "stopped": "true"})
    planned = swap.plan(cloud.host(), Wish(SERVICE, "plain", None, None, detach=True), cloud.makers)
    done = [step["do"] for step in planned.steps]
    assert f"make {OWN}, which a hook has declared" in done
    assert done.index("run the hook /hooks/stopped") > done.index(f"make {OWN}, which a hook has declared")
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("stage", ["prepared", "stopped", "migrated"])
def test_a_hook_that_fails_before_the_start_brings_production_back(
    cloud: SimulatedCloud, whole: Snapshot, stage: str
) -> None:
    cloud.hooks = doing({stage: "exit 3"})
    with pytest.raises(DevswapError, match=f"the hook /hooks/{stage} failed with 3: it was told to"):
        take_over(cloud)
    assert any("stopping" in line for line in cloud.said) == (stage != "prepared")
    assert differences(cloud, whole) == []


@pytest.mark.parametrize("stage", ["started", "restored"])
def test_a_hook_that_fails_later_is_only_told(cloud: SimulatedCloud, whole: Snapshot, stage: str) -> None:
    cloud.hooks = doing({stage: "exit 3"})
    take_over(cloud)
    give_back(cloud)
    assert f"warning: the hook /hooks/{stage} failed with 3: it was told to" in cloud.said
    assert differences(cloud, whole) == []


def test_a_file_of_productions_is_not_replaced(cloud: SimulatedCloud) -> None:
    cloud.machine(images.HEAT).write_text(SUDOERS, "production's\n")
    before = cloud.take()
    cloud.hooks = doing({"prepared": declaring(SUDOERS)})
    with pytest.raises(DevswapError, match=f"a hook declares {SUDOERS}, which exists"):
        take_over(cloud)
    assert not any("stopping" in line for line in cloud.said)
    assert differences(cloud, before) == []


def test_two_hooks_declare_no_file_together(cloud: SimulatedCloud, whole: Snapshot) -> None:
    cloud.hooks = doing({"prepared": declaring(OWN)}) * 2
    with pytest.raises(DevswapError, match="two hooks declare the same file"):
        take_over(cloud)
    assert differences(cloud, whole) == []


def test_what_somebody_has_made_of_a_declared_file_stops_the_restore(cloud: SimulatedCloud, whole: Snapshot) -> None:
    cloud.hooks = doing({"prepared": declaring(SUDOERS)})
    take_over(cloud)
    machine = cloud.machine(images.HEAT)
    machine.write_text(SUDOERS, "mine\n")
    with pytest.raises(DevswapError, match=f"{SUDOERS} was changed by somebody else"):
        give_back(cloud)
    machine.remove(SUDOERS)
    give_back(cloud)
    assert differences(cloud, whole) == []


def test_a_users_hook_runs_in_no_machine_as_root(cloud: SimulatedCloud) -> None:
    machine = cloud.machine(images.HEAT)
    unit = "/etc/systemd/system/heat-engine.service"
    machine.write_text(unit, (machine.read_text(unit) or "").replace("User=heat\n", "").replace("Group=heat\n", ""))
    for verb in (["daemon-reload"], ["stop", "--", f"{SERVICE}.service"], ["start", "--", f"{SERVICE}.service"]):
        machine.run(["systemctl", *verb])
    cloud.hooks = doing({"prepared": "true"}, uid=1000)
    with pytest.raises(DevswapError, match=r"/hooks/prepared is no file of root's, and heat-engine\.service"):
        take_over(cloud)
    assert cloud.hooks_run == []


# --- the sample ------------------------------------------------------------------------------------------------------
