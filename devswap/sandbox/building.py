"""All the layers of an era, as many at once as there is work for two processors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from devswap.sandbox.base import Workshop, build_base, build_layer
from devswap.sandbox.layers import Layer, end_builds
from devswap.sandbox.wheels import build_wheels


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
    return layers
