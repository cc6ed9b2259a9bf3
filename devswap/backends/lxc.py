"""LXC containers: the bindings to look, lxc-attach to run."""

from __future__ import annotations

import os
import select
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from devswap import network
from devswap.errors import DevswapError
from devswap.process import Result

if TYPE_CHECKING:
    from types import ModuleType


class Lxc:
    """The container `name`; containers restart, so whether it still runs is looked at each time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._known: Any = None
        self._init: _Process | None = None

    @property
    def _container(self) -> Any:
        """Made when it is needed: that reads the container's configuration."""
        if self._known is None:
            self._known = bindings().Container(self.name)
        return self._known

    @property
    def address(self) -> str:
        return f"lxc:{self.name}"

    def enter(self, argv: Sequence[str]) -> list[str]:
        return ["lxc-attach", "--clear-env", "-n", self.name, "--", *argv]

    def was_shut(self, failed: Result) -> bool:
        said = failed.stderr.lstrip()
        return said.startswith(f"lxc-attach: {self.name}: ") and "Failed to exec" not in said

    def init_pid(self) -> int | None:
        init = self._init
        if init is None or not init.lives():
            self._init = init = self._ask()
        return init.pid if init is not None else None

    def _ask(self) -> _Process | None:
        # -1 while it is stopped, and for a container that does not exist
        pid = int(self._container.init_pid)
        try:
            return _Process(pid) if pid > 0 else None
        except ProcessLookupError:  # it has just ended
            return None

    def addresses(self) -> list[str]:
        pid = self.init_pid()
        return network.addresses(pid) if pid is not None else []

    def is_frozen(self) -> bool:
        return str(self._container.state) == "FROZEN"

    def is_defined(self) -> bool:
        return bool(self._container.defined)


class _Process:
    """A process that is known again for sure: while it lives nobody else has its number."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        weakref.finalize(self, os.close, self._descriptor)

    def lives(self) -> bool:
        end = select.poll()  # one for each question: two threads may not ask the same one at once
        end.register(self._descriptor, select.POLLIN)
        return not end.poll(0)


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
