"""The laws of the steps, on the simulated machine and on a real container: what undoes a step is right on both.

Databases, web servers and HAProxy have theirs on the simulated machine (tests/unit) and in the sandbox's swaps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from devswap import development, systemd
from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.steps.beside import RunBeside
from devswap.steps.file import MakeFile
from devswap.steps.mount import Mount
from devswap.steps.patience import LengthenWait
from devswap.steps.peer import HoldPeer
from devswap.steps.step import Cloud, Step, from_json
from devswap.steps.unit import HoldUnit, OwnUnit, RunDevelopment

SERVICE, UNIT = "sleeper", "sleeper.service"
OWN = "devswap-sleeper.service"
SLOT = f"{development.folder(SERVICE)}/1"
COMMAND = development.Command((f"{SLOT}/overlay/bin/python", "-c", "pass"), {}, simple=False)
PLACES = ("/run/devswap", "/run/systemd/system", "/etc/dsct")


@pytest.fixture
def cloud(machine: Machine, tmp_path: Path) -> Cloud:
    state = tmp_path / "devswap"
    (state / "vault").mkdir(parents=True)
    return Cloud(
        machine=lambda address: machine,
        vault=state / "vault",
        shared=state / "shared",
        owed=state / "owed.json",
        saves=state / "saved",
        say=lambda line: None,
        now=lambda: "now",
    )


@pytest.fixture(
    params=[
        "mount",
        "hold-unit",
        "hold-peer",
        "run-development",
        "own-unit",
        "make-file",
        "run-beside",
        "lengthen-wait",
    ]
)
def step(request: pytest.FixtureRequest, cloud: Cloud, machine: Machine, tmp_path: Path) -> Iterator[Step]:
    """In the place where a swap has it: development runs in a unit that is held."""
    systemd.start(machine, UNIT)
    on, text = machine.address, development.drop_in(SERVICE, COMMAND, terminal=None)
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    steps: dict[str, Step] = {
        "mount": Mount(on, str(source), f"{SLOT}/overlay", readonly=True),
        "hold-unit": HoldUnit(on, service=SERVICE, unit=UNIT, text=text),
        "hold-peer": HoldPeer(on, service=SERVICE, unit=UNIT, text=development.held(SERVICE)),
        "run-development": RunDevelopment(on, service=SERVICE, unit=UNIT),
        "own-unit": OwnUnit(on, service=SERVICE, unit=OWN, user="root", group="root"),
        "make-file": MakeFile(on, path="/etc/dsct/sudoers.d/sleeper", text="sleeper ALL = …\n", mode=0o440),
        "run-beside": RunBeside(on, unit="devswap-sleeper-tests.service"),
        "lengthen-wait": LengthenWait(on, unit=UNIT, seconds=3600),
    }
    hold = steps["hold-unit"]
    captured = hold.capture(cloud)
    if request.param == "run-development":
        hold.do(cloud)
    yield steps[request.param]
    if request.param == "run-development":
        hold.undo(cloud, captured)


def look(machine: Machine) -> dict[str, object]:
    """Everything of the machine that these steps change."""
    found = systemd.state(machine, UNIT)
    files = systemd.show(machine, UNIT, "DropInPaths", "FragmentPath", "ExecStart", "Environment")
    started = files.pop("ExecStart").partition(" ; ignore_errors")[0]  # what follows are times and numbers
    return {
        "state": (found.load, found.active, found.sub, found.enabled),
        "unit": (started, *files.values()),
        "own": systemd.state(machine, OWN).load,
        "mounts": machine.mounted("/run/devswap"),
        # the folder of a service goes with the last step of its swap
        "files": {
            path: text
            for place in PLACES
            for path, text in _below(machine, place)
            if path != development.folder(SERVICE)
        },
    }


def _below(machine: Machine, folder: str) -> Iterator[tuple[str, str | None]]:
    for name in sorted(machine.names(folder)):
        path = f"{folder}/{name}"
        if machine.is_folder(path):
            yield path, "a folder"
            yield from _below(machine, path)
        else:
            yield path, machine.read_text(path)


def captured_by(step: Step, cloud: Cloud) -> object:
    """As it comes back from the journal."""
    found: object = json.loads(json.dumps(step.capture(cloud)))
    return found


def test_a_capture_changes_nothing(step: Step, cloud: Cloud, machine: Machine) -> None:
    before = look(machine)
    step.capture(cloud)
    assert look(machine) == before


def test_a_step_and_its_undo_leave_all_as_it_was(step: Step, cloud: Cloud, machine: Machine) -> None:
    captured, before = captured_by(step, cloud), look(machine)
    step.do(cloud)
    # what this one changes is a promise: that one of that name may run
    assert isinstance(step, RunBeside) or look(machine) != before
    from_json(json.loads(json.dumps(step.as_json()))).undo(cloud, captured)
    assert look(machine) == before


def test_an_undo_alone_changes_nothing(step: Step, cloud: Cloud, machine: Machine) -> None:
    captured, before = captured_by(step, cloud), look(machine)
    step.undo(cloud, captured)
    assert look(machine) == before


def test_an_undo_twice_is_as_once(step: Step, cloud: Cloud, machine: Machine) -> None:
    captured = captured_by(step, cloud)
    step.do(cloud)
    step.undo(cloud, captured)
    once = look(machine)
    step.undo(cloud, captured)
    assert look(machine) == once


def test_a_unit_that_is_held_is_started_by_nobody_until_the_gate_is_open(cloud: Cloud, machine: Machine) -> None:
    systemd.start(machine, UNIT)
    on, text = machine.address, development.drop_in(SERVICE, COMMAND, terminal=None)
    hold, run = HoldUnit(on, service=SERVICE, unit=UNIT, text=text), RunDevelopment(on, service=SERVICE, unit=UNIT)
    captured = captured_by(hold, cloud)
    hold.do(cloud)
    assert machine.run(["systemctl", "start", "--", UNIT], ok=range(256)).code != 0
    assert not systemd.state(machine, UNIT).is_active
    run.do(cloud)
    assert machine.exists(development.gate(SERVICE))
    run.undo(cloud, {})
    hold.undo(cloud, captured)
    assert systemd.state(machine, UNIT).is_active


def test_development_that_has_ended_is_not_started_again_whatever_productions_unit_says(
    cloud: Cloud, machine: Machine
) -> None:
    """env(1) ends with 127: there is no such interpreter here."""
    more = f"/etc/systemd/system/{UNIT}.d/force.conf"
    machine.write_text(more, "[Service]\nRestartForceExitStatus=127 203\nRestartSec=0\n")
    systemd.reload(machine)
    on, text = machine.address, development.drop_in(SERVICE, COMMAND, terminal=None)
    hold, run = HoldUnit(on, service=SERVICE, unit=UNIT, text=text), RunDevelopment(on, service=SERVICE, unit=UNIT)
    captured = captured_by(hold, cloud)
    hold.do(cloud)
    run.do(cloud)
    try:
        systemd.start(machine, UNIT)
        found = systemd.settled(machine, UNIT, seconds=3.0)
        assert (found.active, systemd.show(machine, UNIT, "NRestarts")["NRestarts"] or "0") == ("failed", "0")
    finally:
        run.undo(cloud, {})
        hold.undo(cloud, captured)
        machine.remove(more)
        machine.remove(more.rpartition("/")[0])
        systemd.reload(machine)


def test_what_systemd_stops_with_a_unit_is_started_after_it(cloud: Cloud, machine: Machine) -> None:
    path, follower = "/etc/systemd/system/follower.service", "follower.service"
    machine.write_text(path, f"[Unit]\nBindsTo={UNIT}\nAfter={UNIT}\n[Service]\nExecStart=/bin/sleep infinity\n")
    systemd.reload(machine)
    systemd.start(machine, UNIT)
    systemd.start(machine, follower)
    text = development.drop_in(SERVICE, COMMAND, terminal=None)
    hold = HoldUnit(machine.address, service=SERVICE, unit=UNIT, text=text)
    try:
        captured = captured_by(hold, cloud)
        hold.do(cloud)
        assert not systemd.settled(machine, follower).is_active
        hold.undo(cloud, captured)
        assert systemd.state(machine, follower).is_active
    finally:
        systemd.stop(machine, follower)
        machine.remove(path)
        systemd.reload(machine)


@pytest.mark.parametrize("setting", ["RefuseManualStart", "RefuseManualStop"])
def test_a_unit_that_nobody_may_start_or_stop_is_left_alone(cloud: Cloud, machine: Machine, setting: str) -> None:
    more = f"/etc/systemd/system/{UNIT}.d/refuse.conf"
    systemd.start(machine, UNIT)
    machine.write_text(more, f"[Unit]\n{setting}=yes\n")
    systemd.reload(machine)
    text = development.drop_in(SERVICE, COMMAND, terminal=None)
    try:
        with pytest.raises(DevswapError, match=f"it has {setting}=yes"):
            HoldUnit(machine.address, service=SERVICE, unit=UNIT, text=text).capture(cloud)
    finally:
        machine.remove(more)
        machine.remove(more.rpartition("/")[0])
        systemd.reload(machine)


@pytest.mark.sandbox
@pytest.mark.parametrize("subject", ["real"], indirect=True)
def test_a_machine_whose_run_is_full_is_found_out_before_anything_is_undone(cloud: Cloud, machine: Machine) -> None:
    systemd.start(machine, UNIT)
    text = development.drop_in(SERVICE, COMMAND, terminal=None)
    hold = HoldUnit(machine.address, service=SERVICE, unit=UNIT, text=text)
    captured = captured_by(hold, cloud)
    hold.do(cloud)
    hold.foresee(cloud, captured)
    size = machine.run(["findmnt", "--noheadings", "--output", "SIZE", "--bytes", "/run"]).stdout.strip()
    machine.run(["mount", "-o", "remount,size=20M", "/run"])
    machine.run(["dd", "if=/dev/zero", "of=/run/full", "bs=1M"], ok=(1,))
    try:
        with pytest.raises(DevswapError, match=r"does not read its files again: .*space"):
            hold.foresee(cloud, captured)
    finally:
        machine.remove("/run/full")
        machine.run(["mount", "-o", f"remount,size={size}", "/run"])
        hold.undo(cloud, captured)
    assert systemd.state(machine, UNIT).is_active


@pytest.mark.sandbox
@pytest.mark.parametrize("subject", ["real"], indirect=True)
@pytest.mark.parametrize("runs", [True, False])
def test_a_socket_that_has_failed_for_a_held_unit_is_started_before_it(
    cloud: Cloud, machine: Machine, *, runs: bool
) -> None:
    path, socket = "/etc/systemd/system/sleeper.socket", "sleeper.socket"
    systemd.stop(machine, UNIT)
    # in as long as a busy machine may take for these connections
    limit = "TriggerLimitIntervalSec=10min\nTriggerLimitBurst=5\n"
    machine.write_text(path, f"[Socket]\nListenStream=127.0.0.1:7777\nService={UNIT}\n{limit}")
    systemd.reload(machine)
    systemd.start(machine, socket)
    if runs:
        systemd.start(machine, UNIT)
    text = development.drop_in(SERVICE, COMMAND, terminal=None)
    hold = HoldUnit(machine.address, service=SERVICE, unit=UNIT, text=text)
    try:
        captured = captured_by(hold, cloud)
        hold.do(cloud)
        for _ in range(20):  # those that come together count as one
            machine.run(["bash", "-c", "for _ in $(seq 40); do echo >/dev/tcp/127.0.0.1/7777; done"], ok=range(256))
            if systemd.settled(machine, socket).active == "failed":
                break
        assert systemd.settled(machine, socket).active == "failed"
        hold.undo(cloud, captured)
        assert systemd.state(machine, socket).active == "active"
        assert systemd.state(machine, UNIT).is_active == runs
    finally:
        systemd.stop(machine, UNIT)
        systemd.stop(machine, socket)
        machine.remove(path)
        systemd.reload(machine)
        systemd.start(machine, UNIT)


@pytest.mark.sandbox
@pytest.mark.parametrize("subject", ["real"], indirect=True)
def test_production_that_is_still_stopping_is_started_once_it_has(cloud: Cloud, machine: Machine) -> None:
    """A start that waits for the end of a stop counts once for each step of that, and is refused then as too many."""
    slow = f"/etc/systemd/system/{UNIT}.d/slow.conf"
    stops = "".join(f"{when}=/bin/sleep 1\n" for when in ("ExecStop", "ExecStopPost"))
    machine.write_text(slow, f"[Unit]\nStartLimitBurst=2\nStartLimitIntervalSec=60\n[Service]\n{stops}")
    systemd.reload(machine)
    systemd.start(machine, UNIT)
    hold = HoldUnit(
        machine.address,
        service=SERVICE,
        unit=UNIT,
        text=development.drop_in(SERVICE, COMMAND, terminal=None),
    )
    try:
        captured = captured_by(hold, cloud)
        machine.run(["systemctl", "stop", "--no-block", UNIT])
        hold.undo(cloud, captured)
        assert systemd.state(machine, UNIT).is_active
    finally:
        machine.remove(slow)
        systemd.reload(machine)
        systemd.reset_failed(machine, UNIT)
        systemd.start(machine, UNIT)
