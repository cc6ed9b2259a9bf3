"""systemctl(1) of a simulated machine."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from tests.simulated import web
from tests.simulated.haproxy import MASTER
from tests.simulated.haproxy_program import haproxy
from tests.simulated.init import Loaded, Running, words
from tests.simulated.processes import Effect, Outcome, UnknownCommandError

if TYPE_CHECKING:
    from tests.simulated.machine import SimulatedMachine

_FOLLOWED_BY = {"RequiredBy": "Requires", "BoundBy": "BindsTo", "ConsistsOf": "PartOf"}


def systemctl(machine: SimulatedMachine, arguments: list[str]) -> Effect:
    verb, *rest = arguments
    options = [word for word in rest if word.startswith("--") and word != "--"]
    units = [word for word in rest if not word.startswith("--")]
    if verb == "show":
        asked = next(word for word in options if word.startswith("--property=")).partition("=")[2].split(",")
        shown = _show(machine, units[0], asked)
        lines = [f"{name}={line}\n" for name, value in shown.items() for line in value.split("\n")]
        return Outcome(0, "".join(lines))
    if verb == "--version":
        return Outcome(0, "systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT\n")
    if verb == "is-active":
        state = machine.init.units.get(units[0], Running()).active
        return Outcome(0 if state == "active" else 3, f"{state}\n")
    if verb == "is-system-running":
        return Outcome(0, "running\n")
    if verb == "daemon-reload":
        return _reload(machine)
    if verb == "reload" and units[-1] == "haproxy.service":
        return haproxy(machine, "kill", ["-USR2", str(MASTER)])
    if verb == "reload" and units == [web.UNIT]:
        return _reload_apache(machine)
    known = {
        "start": _start,
        "stop": _stop,
        "try-restart": _try_restart,
        "reset-failed": _reset_failed,
        "kill": _kill,
    }
    if verb not in known or len(units) != 1:
        raise UnknownCommandError(f"the simulated systemctl does not know {arguments}")
    return known[verb](machine, units[0])


def _show(machine: SimulatedMachine, unit: str, asked: list[str]) -> dict[str, str]:
    init = machine.init
    if machine.state.haproxy is not None and unit == machine.state.haproxy.unit:
        return {name: {"MainPID": str(MASTER), "CanReload": "yes"}[name] for name in asked}
    loaded, found = init.load(unit), init.units.get(unit, Running())
    init.forget(unit)
    active = found.active == "active"
    known = {
        "LoadState": "loaded" if loaded else "not-found",
        "ActiveState": found.active,
        "SubState": found.sub,
        "UnitFileState": _enablement(machine, unit, loaded),
        "MainPID": str(init.pid(unit) if active and found.argv else 0),
        "ExecMainStatus": str(found.code),
    }
    if loaded:
        known |= {
            "User": loaded.one("User"),
            "Group": loaded.one("Group"),
            "Type": loaded.one("Type", "simple"),
            "FragmentPath": loaded.fragment,
            "DropInPaths": " ".join(loaded.drop_ins),
            "Environment": " ".join(loaded.settings.get("Environment", [])),
            "EnvironmentFiles": "\n".join(
                f"{path.lstrip('-')} (ignore_errors={'yes' if path[0] == '-' else 'no'})"
                for path in loaded.settings.get("EnvironmentFile", [])
            ),
            "ExecStart": "\n".join(_shown_command(line) for line in loaded.settings.get("ExecStart", [])),
            "AssertPathExists": loaded.one("AssertPathExists"),
            "KillMode": loaded.one("KillMode", "control-group"),
            "CanStart": "no" if loaded.one("RefuseManualStart") == "yes" else "yes",
            "CanStop": "no" if loaded.one("RefuseManualStop") == "yes" else "yes",
            "ControlGroup": f"/system.slice/{unit}" if active else "",
            "TriggeredBy": " ".join(init.triggers(unit)),
            **{name: " ".join(init.followers(unit, setting)) for name, setting in _FOLLOWED_BY.items()},
        }
    return {name: known.get(name, "") for name in asked}


def _enablement(machine: SimulatedMachine, unit: str, loaded: Loaded | None) -> str:
    if loaded is None:
        return ""
    if loaded.fragment.startswith("/run/systemd/transient"):
        return "transient"
    if machine.init.is_enabled(unit):
        return "enabled"
    return "disabled" if "WantedBy" in loaded.settings else "static"


def _shown_command(line: str) -> str:
    argv = words(line)
    return (
        f"{{ path={argv[0]} ; argv[]={' '.join(argv)} ; ignore_errors=no ; start_time=[n/a] ; "
        "stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }"
    )


def _reload(machine: SimulatedMachine) -> Generator[None, None, Outcome]:
    machine.init.reload()
    yield
    return Outcome()


def _start(machine: SimulatedMachine, unit: str) -> Generator[None, None, Outcome]:
    init = machine.init
    loaded = init.load(unit)
    if loaded is None:
        return Outcome(5, stderr=f"Failed to start {unit}: Unit {unit} not found.\n")
    if init.is_active(unit):
        return Outcome()
    gate = loaded.one("AssertPathExists")
    if gate and not machine.files.exists(gate):
        return Outcome(1, stderr=f"Assertion failed on job for {unit}.\n")
    if unit.endswith(".socket"):
        return (yield from _listen(machine, unit, loaded.one("Service")))
    machine.launch(unit, loaded)
    yield
    return Outcome()


def _listen(machine: SimulatedMachine, unit: str, service: str) -> Generator[None, None, Outcome]:
    if machine.init.is_active(service):
        return Outcome(1, stderr=f"{unit}: Socket service {service} already active, refusing.\n")
    machine.init.units[unit] = Running("active", "listening")
    yield
    return Outcome()


def _stop(machine: SimulatedMachine, unit: str) -> Generator[None, None, Outcome]:
    init = machine.init
    if init.load(unit) is None:
        return Outcome(5, stderr=f"Failed to stop {unit}: Unit {unit} not loaded.\n")
    if init.is_active(unit):
        following = [name for setting in _FOLLOWED_BY.values() for name in init.followers(unit, setting)]
        machine.end(unit, "inactive", 0)
        for name in filter(init.is_active, following):
            yield from _stop(machine, name)
        yield
    init.forget(unit)
    return Outcome()


def _try_restart(machine: SimulatedMachine, unit: str) -> Generator[None, None, Outcome]:
    """One job: whoever asked for it may be gone before its end. What follows the unit is restarted with it."""
    loaded = machine.init.load(unit)
    if loaded is not None and machine.init.is_active(unit):
        machine.launch(unit, loaded)
        yield
    machine.init.forget(unit)
    return Outcome()


def _reload_apache(machine: SimulatedMachine) -> Generator[None, None, Outcome]:
    if not machine.init.is_active(web.UNIT):
        return Outcome(1, stderr=f"{web.UNIT} is not active, cannot reload.\n")
    running = machine.init.unit(web.UNIT)
    running.argv, running.ports = web.loaded(machine.files), web.ports(machine.files)
    yield
    return Outcome()


def _reset_failed(machine: SimulatedMachine, unit: str) -> Generator[None, None, Outcome]:
    init = machine.init
    if init.load(unit) is None:
        return Outcome(1, stderr=f"Failed to reset failed state of unit {unit}: Unit {unit} not loaded.\n")
    if init.unit(unit).active == "failed":
        init.units[unit] = Running()
        yield
    init.forget(unit)
    return Outcome()


def _kill(machine: SimulatedMachine, unit: str) -> Generator[None, None, Outcome]:
    if not machine.init.is_active(unit):
        return Outcome(1, stderr=f"Failed to kill unit {unit}: No main process to kill\n")
    machine.end(unit, "failed", 9)
    yield
    return Outcome()
