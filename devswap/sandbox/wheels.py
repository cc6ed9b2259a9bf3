"""The production wheels: what the repo container serves, and what every virtualenv is made of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from devswap.sandbox.base import Workshop, install
from devswap.sandbox.eras import Era, era_named
from devswap.sandbox.files import link_tree
from devswap.sandbox.layers import Building, Layer
from devswap.sandbox.sources import host_pip_environment


def build_wheels(workshop: Workshop, base: Layer) -> None:
    """Every pinned package of the era as a wheel, compiled where PyPI has none; also leaves uv in the cache."""
    era, cache = workshop.era, workshop.cache
    pins = sorted(_pins(era))
    marker = cache.folder("wheels") / f"{era.name}.complete"
    wanted = "\n".join(pins) + "\n"
    if marker.exists() and marker.read_text() == wanted and (cache.root / "tools" / "uv").exists():
        return
    _build(workshop, base, pins)
    marker.write_text(wanted)


def build_added_wheels(workshop: Workshop, base: Layer) -> None:
    """What an addition's virtualenv needs, in one folder: the era's own, and as new ones those that it lacks."""
    own = Workshop(era_named(workshop.era.name), workshop.distribution, workshop.cache, workshop.say)
    marker = workshop.wheels.with_suffix(".complete")
    missing = set(workshop.era.pins(workshop.addition).splitlines()) - _pins(own.era)
    wanted = "".join(f"{line}\n" for line in sorted({*_pins(own.era), *missing}))
    if marker.exists() and marker.read_text() == wanted:
        return
    link_tree(own.wheels, workshop.wheels)
    _build(workshop, base, sorted(missing))
    marker.write_text(wanted)


def build_builder(workshop: Workshop, base: Layer) -> Path:
    """The layer with a compiler and headers, above `base`."""
    era, cache = workshop.era, workshop.cache
    builder = cache.layer_path("builder", str(base.path), *era.packages["builder"])
    with cache.locked(workshop.say, "builder"):
        if not builder.exists():
            workshop.say("builder: compiler and headers")
            building = Building(cache, builder.name, base.stack)
            install(building, cache, "builder", era.packages["builder"])
            building.finish(builder)
    return builder


def _build(workshop: Workshop, base: Layer, pins: Sequence[str]) -> None:
    cache, name = workshop.cache, workshop.wheels.name
    builder = build_builder(workshop, base)
    workshop.say(f"wheels: {len(pins)} pinned packages")
    building = Building(cache, f"wheels-{name}", (builder, *base.stack))
    pins_file = cache.folder("wheels") / f"{name}.txt"
    pins_file.write_text("\n".join(pins) + "\n")
    building.script(
        "wheels.sh", "/run/wheels", "/run/pins.txt", str(2 * (os.cpu_count() or 1)),
        binds={workshop.wheels: "/run/wheels", pins_file: "/run/pins.txt"}, environment=host_pip_environment(),
    )  # fmt: skip
    tool = cache.folder("tools") / "uv"
    if not tool.exists():  # another build may be running it
        shutil.copy2(building.folder / "upper/opt/builder/bin/uv", tool)
    shutil.rmtree(building.folder)


def _pins(era: Era) -> set[str]:
    return {line for name in ("tools", *_all_venvs(era)) for line in era.pins(name).splitlines() if line}


def _all_venvs(era: Era) -> tuple[str, ...]:
    return tuple(dict.fromkeys(venv for venvs in era.venvs.values() for venv in venvs))
