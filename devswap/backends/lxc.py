"""LXC containers: the bindings to look, lxc-attach to run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from devswap import network
from devswap.errors import DevswapError

if TYPE_CHECKING:
    from types import ModuleType


class Lxc:
    """The container `name`; its state is asked anew each time, since containers restart."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._container: Any = bindings().Container(name)

    @property
    def address(self) -> str:
        return f"lxc:{self.name}"

    def enter(self, argv: Sequence[str]) -> list[str]:
        return ["lxc-attach", "--clear-env", "-n", self.name, "--", *argv]

    def init_pid(self) -> int | None:
        # -1 while it is stopped, and for a container that does not exist
        pid = int(self._container.init_pid)
        return pid if pid > 0 else None

    def addresses(self) -> list[str]:
        pid = self.init_pid()
        return network.addresses(pid) if pid is not None else []

    def is_defined(self) -> bool:
        return bool(self._container.defined)


def running() -> list[Lxc]:
    """Every running container of this host, by name."""
    return [Lxc(name) for name in bindings().list_containers(active=True, defined=False)]


def stopped() -> list[str]:
    """The names of the containers that exist and do not run."""
    up = set(bindings().list_containers(active=True, defined=False))
    return [name for name in bindings().list_containers(active=False, defined=True) if name not in up]


def bindings() -> ModuleType:
    """The lxc module; raises DevswapError with what to install where it is absent."""
    try:
        import lxc
    except ImportError as error:
        raise DevswapError(
            "cannot look at LXC containers: the lxc bindings for Python are not installed",
            hint="apt-get install python3-lxc, or pip install 'devswap[lxc]'",
        ) from error
    return lxc  # type: ignore[no-any-return]
