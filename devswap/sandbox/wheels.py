"""The production wheels: what the repo container serves, and what every virtualenv is made of."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from devswap.sandbox.base import Workshop, install
from devswap.sandbox.eras import Era
from devswap.sandbox.layers import Building, Layer
from devswap.sandbox.sources import host_pip_environment


def build_wheels(workshop: Workshop, base: Layer) -> None:
    """Every pinned package of the era as a wheel, compiled where PyPI has none; also leaves uv in the cache."""
    era, cache = workshop.era, workshop.cache
    pins = sorted({line for name in ("tools", *_all_venvs(era)) for line in era.pins(name).splitlines() if line})
    marker = cache.folder("wheels") / f"{era.name}.complete"
    wanted = "\n".join(pins) + "\n"
    if marker.exists() and marker.read_text() == wanted and (cache.root / "tools" / "uv").exists():
        return
    builder = build_builder(workshop, base)
    workshop.say(f"wheels: {len(pins)} pinned packages")
    building = Building(cache, f"wheels-{era.name}", (builder, *base.stack))
    pins_file = cache.folder("wheels") / f"{era.name}.txt"
    pins_file.write_text(wanted)
    building.script(
        "wheels.sh", "/run/wheels", "/run/pins.txt", str(2 * (os.cpu_count() or 1)),
        binds={workshop.wheels: "/run/wheels", pins_file: "/run/pins.txt"}, environment=host_pip_environment(),
    )  # fmt: skip
    shutil.copy2(building.folder / "upper/opt/builder/bin/uv", cache.folder("tools") / "uv")
    shutil.rmtree(building.folder)
    marker.write_text(wanted)


def build_builder(workshop: Workshop, base: Layer) -> Path:
    """The layer with a compiler and headers, above `base`."""
    era, cache = workshop.era, workshop.cache
    builder = cache.layer_path("builder", str(base.path), *era.packages["builder"])
    if not builder.exists():
        workshop.say("builder: compiler and headers")
        building = Building(cache, builder.name, base.stack)
        install(building, cache, "builder", era.packages["builder"])
        building.finish(builder)
    return builder


def _all_venvs(era: Era) -> tuple[str, ...]:
    return tuple(dict.fromkeys(venv for venvs in era.venvs.values() for venv in venvs))
