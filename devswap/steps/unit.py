"""Takes production's unit over: stops it, holds it stopped, and lets development run in its place."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from devswap import development, followers, leftovers, systemd
from devswap.errors import CommandFailed, DevswapError, Unrecognised
from devswap.machine import Machine
from devswap.steps.mount import remove_empty
from devswap.steps.step import Cloud, Step, is_left_to_them, shell
from devswap.systemd import UnitState

_MERCY = 60.0
"""Seconds that development has to stop: production waits for that."""
_BY_HAND = {"CanStart": "RefuseManualStart", "CanStop": "RefuseManualStop"}
"""What systemctl show says of a unit, and the setting behind it."""


@dataclass(frozen=True)
class OwnUnit(Step):
    """A unit for what production runs in a unit of others: `unit` is nothing but a name, a user and a group."""

    service: str
    unit: str
    user: str
    group: str
    low_ports: bool = False
    """Its user listens on a port below 1024, which the unit of the others did as root for it."""

    kind: ClassVar[str] = "own-unit"

    def capture(self, cloud: Cloud) -> Any:
        if cloud.machine(self.on).exists(self._path):
            raise DevswapError(f"{self._path} in {self.on} is of devswap, but no swap knows of it")
        return {}

    def do(self, cloud: Cloud) -> None:
        machine = cloud.machine(self.on)
        lines = ["[Unit]", f"Description={self.service}, taken over by devswap", "[Service]", "Type=simple"]
        lines += [f"User={self.user}", f"Group={self.group}", "ExecStart=/bin/false"]
        lines += ["AmbientCapabilities=CAP_NET_BIND_SERVICE"] if self.low_ports else []
        machine.write_text(self._path, "\n".join(lines) + "\n")
        systemd.reload(machine)

    def undo(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        machine = cloud.machine(self.on)
        machine.remove(self._path)
        machine.remove(development.half_written(self._path))
        systemd.reload(machine)
        systemd.reset_failed(machine, self.unit)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        return [shell(self.on, "rm", "-f", self._path), shell(self.on, "systemctl", "daemon-reload")]

    def describe(self) -> tuple[str, str]:
        return f"make {self.unit}", f"remove {self.unit}"

    @property
    def _path(self) -> str:
        return f"/run/systemd/system/{self.unit}"


@dataclass(frozen=True)
class HoldUnit(Step):
    """`unit` is stopped and cannot be started by anybody until the gate is opened."""

    service: str
    unit: str
    text: str
    """The drop-in: development's command behind the closed gate."""

    kind: ClassVar[str] = "hold-unit"
    holds: ClassVar[bool] = True

    def capture(self, cloud: Cloud) -> Any:
        machine = cloud.machine(self.on)
        require_not_held(machine, self.unit)
        require_obedient(machine, self.unit)
        found = systemd.settled(machine, self.unit)
        require_at_rest(machine, self.unit, found)
        following = followers.running(machine, self.unit) if found.is_active else []
        if following:
            cloud.say(f"systemd stops with it, and devswap starts again: {', '.join(following)}")
        return {
            "active": found.is_active,
            "state": found.active,
            "enabled": found.enabled,
            "followers": following,
            "triggers": followers.triggers(machine, self.unit),
        }

    def do(self, cloud: Cloud) -> None:
        machine = cloud.machine(self.on)
        machine.write_text(development.path(self.unit), self.text)
        systemd.reload(machine)
        self._assert_ours(machine)
        systemd.stop(machine, self.unit, late=cloud.aside)

    def undo(self, cloud: Cloud, captured: Any) -> None:
        """What runs now is production: development was stopped by `RunDevelopment`, which comes after this step.

        Where that has no entry and the gate is open, it is done here.
        """
        machine = cloud.machine(self.on)
        if machine.exists(development.gate(self.service)):
            RunDevelopment(self.on, service=self.service, unit=self.unit).undo(cloud, {})
        self._remove_drop_in(machine, cloud)
        remove_empty(machine, development.folder(self.service))
        found = systemd.state(machine, self.unit)
        if found.active == "deactivating":
            # a start that waits for its end counts as several, of which a unit may have too many
            systemd.stop(machine, self.unit, late=cloud.aside)
            found = systemd.state(machine, self.unit)
        if not found.is_active:
            self._let_run(cloud, captured, found)
        if captured["active"]:
            followers.start_again(cloud, self.on, captured.get("followers", ()))

    def _let_run(self, cloud: Cloud, captured: Any, found: UnitState) -> None:
        """Nothing of the unit runs: it is started if it ran, and what starts it waits for that as it did."""
        machine, ran = cloud.machine(self.on), bool(captured["active"])
        if ran or (found.active == "failed" and captured["state"] != "failed"):
            systemd.reset_failed(machine, self.unit)  # development may have used up how often it may start
        followers.arm(cloud, self.on, captured.get("triggers", ()))
        if ran:
            systemd.start(machine, self.unit, late=cloud.aside)

    @property
    def files(self) -> tuple[str, ...]:
        return (development.path(self.unit),)

    def _remove_drop_in(self, machine: Machine, cloud: Cloud) -> None:
        """Each part by itself: a kill may have fallen between the file, its folder and systemd's own memory of it."""
        path = development.path(self.unit)
        folder = path.rpartition("/")[0]
        if self._is_theirs(machine, cloud):
            systemd.reload(machine)
            return
        machine.remove(path)
        machine.remove(development.half_written(path))
        if machine.is_folder(folder) and not machine.names(folder):
            machine.remove(folder)
        if systemd.reads(machine, self.unit, path):
            systemd.reload(machine)

    def _is_theirs(self, machine: Machine, cloud: Cloud) -> bool:
        """Whether the drop-in stays as somebody else has made it; Unrecognised where nobody has said so.

        One that still waits at our gate, or runs what we mounted, cannot: production would not start.
        """
        path = development.path(self.unit)
        if not is_edited(machine, self.unit):
            return False
        found = "it is not as devswap wrote it"
        if f"{development.folder(self.service)}/" in (machine.read_text(path) or ""):
            raise Unrecognised(
                f"{path} was changed by somebody else meanwhile, and production cannot run with what is in it: {found}",
                on=self.on,
                path=path,
                can_stay=False,
            )
        return is_left_to_them(cloud, self.on, path, found)

    def foresee(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        """systemd reads no files again where its /run is full: whether it does is tried, if that will be needed."""
        machine = cloud.machine(self.on)
        if not machine.is_running():
            return
        if not self._is_theirs(machine, cloud) and not systemd.reads(machine, self.unit, self.files[0]):
            return
        try:
            systemd.reload(machine)
        except CommandFailed as error:
            raise DevswapError(
                f"systemd in {machine.name} does not read its files again: {error.result.tail}",
                hint=error.hint or f"if its /run is full, make room there: {shell(self.on, 'df', '-h', '/run')}",
            ) from error

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        units = [*captured.get("triggers", ()), *([self.unit] if captured["active"] else [])]
        following = captured.get("followers", ())  # of one that ran
        reset = f"{shell(self.on, 'systemctl', 'reset-failed', *units)} || true"
        start = [reset, shell(self.on, "systemctl", "start", *units, *following)] if units else []
        return [
            shell(self.on, "rm", "-f", development.path(self.unit)),
            shell(self.on, "systemctl", "daemon-reload"),
            *start,
        ]

    def _assert_ours(self, machine: Machine) -> None:
        """A later drop-in of production could win over ours; then it must not be stopped."""
        if development.folder(self.service) not in systemd.show(machine, self.unit, "ExecStart")["ExecStart"]:
            raise DevswapError(
                f"cannot take {self.unit} in {machine.name} over: another drop-in sets ExecStart after ours",
                hint=f"systemctl cat {self.unit} shows it",
            )

    def describe(self) -> tuple[str, str]:
        return f"stop {self.unit} and hold it stopped", f"let go of {self.unit} and start it if it ran"


def require_at_rest(machine: Machine, unit: str, found: UnitState) -> None:
    """Raise where it cannot be told whether production runs, and so not how it is to come back."""
    if found.is_on_its_way:
        raise DevswapError(
            f"{unit} in {machine.name} is {found.active} ({found.sub}): it neither runs nor has it stopped",
            hint=f"try again when it does, or stop it: {shell(machine.address, 'systemctl', 'stop', unit)}",
        )


def require_obedient(machine: Machine, unit: str) -> None:
    """Raise where systemd would not start it again, or what stops with it: who could then bring production back?"""
    said = systemd.show(machine, unit, "CanStart", "CanStop")
    refused = [(unit, setting) for what, setting in _BY_HAND.items() if said[what] == "no"]
    for name in followers.running(machine, unit):
        if systemd.show(machine, name, "CanStart")["CanStart"] == "no":
            refused.append((name, _BY_HAND["CanStart"]))
    for name, setting in refused:
        which = "it" if name == unit else f"{name}, which stops with it,"
        raise DevswapError(
            f"cannot take {unit} in {machine.name} over: {which} has {setting}=yes, so that nobody may do it by hand",
            hint=f"{shell(machine.address, 'systemctl', 'edit', name)}: {setting}=no below [Unit]",
        )


def require_not_held(machine: Machine, unit: str) -> None:
    """Raise where our drop-in has no place: one is there whose swap is lost, or that a restore has left to somebody."""
    path = development.path(unit)
    if machine.exists(path):
        away = shell(machine.address, "mv", path, "/root/")
        raise DevswapError(
            f"{unit} in {machine.name} has a drop-in of devswap's name that no swap knows of: {path}",
            hint=f"keep it elsewhere: {away}, then {shell(machine.address, 'systemctl', 'daemon-reload')}",
        )


def require_unedited(machine: Machine, unit: str) -> None:
    """Raise where another start would write over what somebody has made of the drop-in."""
    path = development.path(unit)
    if is_edited(machine, unit):
        raise DevswapError(
            f"cannot start development again: {path} in {machine.name} was changed by somebody else",
            hint=f"keep it elsewhere: {shell(machine.address, 'mv', path, '/root/')}",
        )


def is_edited(machine: Machine, unit: str) -> bool:
    """Whether the drop-in of a held `unit` is there and has somebody else's work in it."""
    text = machine.read_text(development.path(unit))
    return text is not None and not development.is_as_written(text)


@dataclass(frozen=True)
class RunDevelopment(Step):
    """The gate is open: `unit` may run development. Starting it is not part of the step, so that it can be repeated."""

    service: str
    unit: str

    kind: ClassVar[str] = "run-development"
    runs: ClassVar[bool] = True

    def capture(self, cloud: Cloud) -> Any:  # noqa: ARG002 - before it, development cannot run
        return {}

    def do(self, cloud: Cloud) -> None:
        cloud.machine(self.on).write_text(development.gate(self.service), "")

    def undo(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        machine = cloud.machine(self.on)
        systemd.stop(machine, development.guard_unit(self.service))
        systemd.stop(machine, development.beside_units(self.service), late=cloud.aside)
        for name in machine.names(development.folder(self.service)):
            if name.lstrip(".").startswith("environment-"):  # lent to a unit that did not live to give it back
                machine.remove(f"{development.folder(self.service)}/{name}")
        machine.remove(development.guard_pipe(self.service))
        held = machine.exists(development.path(self.unit))
        if not held and machine.exists(development.gate(self.service)):
            # somebody took our drop-in away while development ran
            systemd.stop(machine, self.unit, mercy=_MERCY, late=cloud.aside)
        machine.remove(development.gate(self.service))
        machine.remove(development.half_written(development.gate(self.service)))
        # With neither the unit is production's again (the machine was restarted): not ours to stop.
        if held:
            systemd.stop(machine, self.unit, mercy=_MERCY, late=cloud.aside)
        for line in leftovers.end(machine, self.service, self.unit):
            cloud.say(line)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        units = (development.guard_unit(self.service), development.beside_units(self.service), self.unit)
        stop = shell(self.on, "systemctl", "stop", *units)
        lent = shlex.quote(development.lent_environment(self.service, ""))
        return [
            f"{stop} || true",
            "# what runs the checkout still, of what it has started:",
            shell(self.on, *leftovers.by_hand(self.service, self.unit)),
            shell(self.on, "rm", "-rf", development.gate(self.service)),
            shell(self.on, "sh", "-c", f"rm -f {lent}*"),
        ]

    def describe(self) -> tuple[str, str]:
        return f"run development as {self.unit}", "stop development"
