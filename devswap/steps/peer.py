"""Stops the other consumers of a service's queue, so that every message comes to development."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.steps.step import Cloud
from devswap.steps.unit import HoldUnit


@dataclass(frozen=True)
class HoldPeer(HoldUnit):
    """The same unit on another machine, where nothing takes its place; its way back is that of any unit held."""

    kind: ClassVar[str] = "hold-peer"

    def capture(self, cloud: Cloud) -> Any:
        captured = super().capture(cloud)
        if not captured["active"]:
            raise DevswapError(f"{self.unit} in {self.on} has stopped meanwhile")
        return captured

    def undo(self, cloud: Cloud, captured: Any) -> None:
        """A machine that is stopped holds nothing any more, and starts the unit itself once it runs again."""
        if cloud.machine(self.on).is_running():
            super().undo(cloud, captured)

    def _assert_ours(self, machine: Machine) -> None:
        """No command of ours need win: that the gate is closed holds whatever else is set."""

    def describe(self) -> tuple[str, str]:
        return f"stop {self.unit} in {self.on}, which consumes the same queue", f"start {self.unit} in {self.on}"
