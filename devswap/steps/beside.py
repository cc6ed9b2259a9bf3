"""Something runs beside production for a while, as a unit with a name of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from devswap import systemd
from devswap.steps.step import Cloud, Step, shell


@dataclass(frozen=True)
class RunBeside(Step):
    """`unit` may run; starting it is not part of the step. It goes on when its devswap is killed, and is ended here."""

    unit: str

    kind: ClassVar[str] = "run-beside"

    def capture(self, cloud: Cloud) -> Any:  # noqa: ARG002
        return {}

    def do(self, cloud: Cloud) -> None:
        """One of that name that still runs would be in the way."""
        systemd.stop(cloud.machine(self.on), self.unit)

    def undo(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        systemd.stop(cloud.machine(self.on), self.unit)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        return [f"{shell(self.on, 'systemctl', 'stop', self.unit)} || true  # fails where none runs"]

    def describe(self) -> tuple[str, str]:
        return f"run {self.unit}", f"end {self.unit} if it still runs"
