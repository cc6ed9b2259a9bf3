"""Lets a caller of the service wait longer for its answers, as long as somebody may sit at a prompt there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from devswap import development, followers, systemd
from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.steps.step import Cloud, Step, is_left_to_them, shell


@dataclass(frozen=True)
class LengthenWait(Step):
    """`unit`, which calls the service by RPC, is restarted with a longer rpc_response_timeout.

    By oslo.config's environment in a drop-in below /run: no file of the caller's is changed, and a restart of its
    machine forgets it.
    """

    unit: str
    seconds: int

    kind: ClassVar[str] = "lengthen-wait"

    def capture(self, cloud: Cloud) -> Any:
        machine = cloud.machine(self.on)
        if machine.exists(self._path) or machine.exists(self._leaving):
            raise DevswapError(
                f"{self._path} in {machine.name} is of devswap, but no swap knows of it",
                hint=f"{shell(self.on, 'rm', '-f', self._path, self._leaving)}, then try again",
            )
        active = systemd.state(machine, self.unit).is_active
        return {"active": active, "followers": followers.running(machine, self.unit) if active else []}

    def do(self, cloud: Cloud) -> None:
        machine = cloud.machine(self.on)
        machine.write_text(self._path, self._text)
        systemd.reload(machine)
        if systemd.state(machine, self.unit).is_active:
            self._restart(machine)

    def undo(self, cloud: Cloud, captured: Any) -> None:
        """The drop-in is put aside before the restart and forgotten after it: what was killed between is repeated."""
        machine = cloud.machine(self.on)
        machine.remove(development.half_written(self._path))
        if machine.exists(self._path):
            if self._is_theirs(machine, cloud):
                return
            machine.rename(self._path, self._leaving)
        if machine.exists(self._leaving):
            if systemd.reads(machine, self.unit, self._path):
                systemd.reload(machine)
            if captured["active"]:
                self._restart(machine)
                followers.start_again(cloud, self.on, captured.get("followers", ()))
            elif not self._is_swapped(machine):
                # By now it may have been started with it: by a playbook, or by what had stopped it. In one go, since
                # nothing says between a stop and a start that it ran.
                systemd.try_restart(machine, self.unit)
            machine.remove(self._leaving)
        folder = self._path.rpartition("/")[0]
        if machine.is_folder(folder) and not machine.names(folder):
            machine.remove(folder)

    def foresee(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        machine = cloud.machine(self.on)
        if machine.is_running():
            self._is_theirs(machine, cloud)

    def _is_swapped(self, machine: Machine) -> bool:
        """Then it is development that runs in its place: another start would end a run on somebody's terminal."""
        return machine.exists(development.path(self.unit))

    def _restart(self, machine: Machine) -> None:
        if self._is_swapped(machine):
            return
        following = followers.running(machine, self.unit)
        systemd.stop(machine, self.unit)
        systemd.start(machine, self.unit)
        followers.start_beside(machine, following)

    def _is_theirs(self, machine: Machine, cloud: Cloud) -> bool:
        text = machine.read_text(self._path)
        return text not in (None, self._text) and is_left_to_them(
            cloud, self.on, self._path, "it is not as devswap wrote it"
        )

    @property
    def files(self) -> tuple[str, ...]:
        return (self._path,)

    @property
    def _path(self) -> str:
        return development.patient_path(self.unit)

    @property
    def _leaving(self) -> str:
        """Where it is no drop-in any more: only names that end in .conf are read."""
        return f"{self._path}.gone"

    @property
    def _text(self) -> str:
        told = "# devswap: it waits for somebody at a prompt; `devswap restore` takes this away"
        return f"{told}\n[Service]\nEnvironment=OS_DEFAULT__RPC_RESPONSE_TIMEOUT={self.seconds}\n"

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        return [
            shell(self.on, "rm", "-f", self._path, self._leaving),
            shell(self.on, "systemctl", "daemon-reload"),
            shell(self.on, "systemctl", "restart" if captured["active"] else "try-restart", self.unit),
        ]

    def describe(self) -> tuple[str, str]:
        return (
            f"restart {self.unit} in {self.on} so that it waits {self.seconds} s for answers",
            f"restart {self.unit} in {self.on} as it was",
        )
