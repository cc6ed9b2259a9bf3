"""All the layers of an era, as many at once as there is work for two processors."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from devswap.sandbox.base import Workshop, build_base, build_layer
from devswap.sandbox.containers import container_root, layers_in_use
from devswap.sandbox.layers import Cache, Layer, end_builds
from devswap.sandbox.wheels import build_added_wheels, build_wheels


def build_layers(workshop: Workshop) -> dict[str, Layer]:
    """The layers without virtualenvs are installed while the wheels are built; the others need the wheels."""
    era, base = workshop.era, build_base(workshop)
    names = [name for name in era.packages if name != "builder"]
    plain = [name for name in names if name not in era.venvs]
    layers: dict[str, Layer] = {}
    with ThreadPoolExecutor(3) as pool:
        wheels = pool.submit(build_wheels, workshop, base)
        jobs = {name: pool.submit(build_layer, workshop, base, name) for name in plain}
        try:
            wheels.result()
            jobs |= {name: pool.submit(build_layer, workshop, base, name) for name in era.venvs}
            layers = {name: job.result() for name, job in jobs.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_builds()
            raise
    _prune(workshop.cache, [base, *layers.values()])
    return layers


def build_added(workshop: Workshop, names: Sequence[str]) -> dict[str, Layer]:
    """The layers of additions, two at once: one waits for the network while the other compiles.

    The era's own are there already.
    """
    base = build_base(workshop)
    layers: dict[str, Layer] = {}
    with ThreadPoolExecutor(2) as pool:
        jobs = {name: pool.submit(_build_added, workshop.adding(name), base) for name in names}
        try:
            layers = {name: job.result() for name, job in jobs.items()}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            end_builds()
            raise
    _prune(workshop.cache, list(layers.values()))
    return layers


def _build_added(own: Workshop, base: Layer) -> Layer:
    build_added_wheels(own, base)
    return build_layer(own, base, own.addition)


def _prune(cache: Cache, fresh: list[Layer]) -> None:
    """Remove what layers of the same names were before their recipe changed, unless a container lies on it."""
    names = {layer.path.name.rpartition("-")[0] for layer in fresh}
    keep = {layer.path for layer in fresh} | layers_in_use(container_root())
    for path in cache.folder("layers").iterdir():
        if path.name.rpartition("-")[0] in names and path not in keep:
            shutil.rmtree(path)
