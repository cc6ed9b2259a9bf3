"""More containers for `devswap list` to look at: overlay clones of the sandbox's base, running systemd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.place import Place
from devswap.sandbox.base import Workshop, build_base
from devswap.sandbox.commands import CACHE
from devswap.sandbox.containers import Container, container_root, existing_containers, running_containers
from devswap.sandbox.layers import Cache, Layer
from devswap.sandbox.sources import host_distribution

PREFIX = "dsbm-"
# Above those that the sandbox gives its own containers.
_FIRST_ADDRESS = 512


class Fleet:
    """The extra containers that run at the moment."""

    def __init__(self, place: Place, root: Path, base: Layer) -> None:
        self._place = place
        self._root = root
        self._base = base
        self._started: list[Container] = []

    def grow_to(self, number: int) -> int:
        """Start as many as `number` running containers need, booted; returns how many run on this host."""
        fresh = [self._start(len(self._started)) for _ in range(number - len(running_containers()))]
        for container in fresh:
            container.wait_until_booted()
        return len(running_containers())

    def _start(self, index: int) -> Container:
        record = self._place.record
        container = Container(self._root, f"{PREFIX}{index:03d}")
        self._started.append(container)
        container.define(
            self._base,
            era=record.era_name,
            bridge=record.bridge,
            address=f"{self._place.subnet[_FIRST_ADDRESS + index]}/{record.prefix_length}",
            gateway=record.gateway,
        )
        container.start()
        return container


@contextmanager
def fleet(place: Place) -> Iterator[Fleet]:
    """None of them is left afterwards, nor any that a killed run left before."""
    era = place.record.era
    base = build_base(Workshop(era, host_distribution(), Cache(CACHE), lambda _: None))
    root = container_root()
    sweep(root)
    try:
        yield Fleet(place, root, base)
    finally:
        sweep(root)


def sweep(root: Path) -> None:
    for name in existing_containers():
        if name.startswith(PREFIX):
            Container(root, name).remove()
