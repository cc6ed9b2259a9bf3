"""A hook that runs between production's stop and development's start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from devswap import hook_run, systemd
from devswap.hooks import Hook
from devswap.steps.step import Cloud, Step, shell


@dataclass(frozen=True)
class RunHook(Step):
    """It changes nothing that would have to be undone; but it may still be at work when its devswap was killed."""

    service: str
    hook: Hook
    told: str
    """What its document says, as JSON: see hooks_of_swap.py."""

    kind: ClassVar[str] = "run-hook"

    def __post_init__(self) -> None:
        if isinstance(self.hook, Mapping):  # read back from a journal
            object.__setattr__(self, "hook", Hook(**self.hook))

    def capture(self, cloud: Cloud) -> Any:  # noqa: ARG002
        return {}

    def do(self, cloud: Cloud) -> None:
        cloud.say(f"running the hook {self.hook.path}")
        with cloud.aside():
            hook_run.call(self.hook, cloud.machine(self.on), json.loads(self.told), cloud.say)

    def undo(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        systemd.stop(cloud.machine(self.on), hook_run.unit(self.service), late=cloud.aside)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        return [f"{shell(self.on, 'systemctl', 'stop', hook_run.unit(self.service))} || true  # fails where none runs"]

    def describe(self) -> tuple[str, str]:
        return f"run the hook {self.hook.path}", f"end the hook {self.hook.path} if it still runs"
