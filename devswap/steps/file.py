"""A file that is in a machine as long as production is stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from devswap import development
from devswap.errors import DevswapError
from devswap.machine import Machine
from devswap.steps.step import Cloud, Step, is_left_to_them, shell


@dataclass(frozen=True)
class MakeFile(Step):
    """`path`, which must not exist before: what exists is production's."""

    path: str
    text: str
    mode: int

    kind: ClassVar[str] = "make-file"

    def capture(self, cloud: Cloud) -> Any:
        machine = cloud.machine(self.on)
        require_new(machine, self.path)
        return {"folders": _missing(machine, self.path)}

    def do(self, cloud: Cloud) -> None:
        machine = cloud.machine(self.on)
        if machine.read_text(self.path) not in (None, self.text):
            raise DevswapError(
                f"{self.path} in {self.on} was changed by somebody else meanwhile",
                hint="let the hook declare a file of another name, or see who else makes this one",
            )
        machine.write_text(self.path, self.text, mode=self.mode)

    def undo(self, cloud: Cloud, captured: Any) -> None:
        machine = cloud.machine(self.on)
        if self._is_theirs(machine, cloud):
            return
        machine.remove(self.path)
        machine.remove(development.half_written(self.path))
        for folder in captured["folders"]:
            if machine.is_folder(folder) and not machine.names(folder):
                machine.remove(folder)

    def foresee(self, cloud: Cloud, captured: Any) -> None:  # noqa: ARG002
        machine = cloud.machine(self.on)
        if machine.is_running():
            self._is_theirs(machine, cloud)

    def _is_theirs(self, machine: Machine, cloud: Cloud) -> bool:
        found = machine.read_text(self.path)
        if found in (None, self.text):
            return False
        return is_left_to_them(cloud, self.on, self.path, "it is not as a hook has declared it")

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,)

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        emptied = [f"{shell(self.on, 'rmdir', folder)} || true  # if it is empty" for folder in captured["folders"]]
        return [shell(self.on, "rm", "-f", self.path), *emptied]

    def describe(self) -> tuple[str, str]:
        return f"make {self.path}, which a hook has declared", f"remove {self.path}"


def require_new(machine: Machine, path: str) -> None:
    """Raise where there is something already, and be it a link to nothing."""
    if machine.exists(path) or machine.link_target(path) is not None:
        raise DevswapError(
            f"a hook declares {path}, which exists in {machine.name}: what exists is production's",
            hint="let it declare a file of another name",
        )


def _missing(machine: Machine, path: str) -> list[str]:
    """The folders above it that must be made, innermost first."""
    missing, folder = [], path.rpartition("/")[0]
    while folder and not machine.exists(folder):
        missing.append(folder)
        folder = folder.rpartition("/")[0]
    return missing
