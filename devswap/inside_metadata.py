"""What a checkout's metadata are, found by the project's own build backend: a part of inside.py, which loads it.

A file of its own for the same reason, and copied beside that one: it imports nothing of devswap.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import runpy
import stat
import sys
import zipfile
from typing import Any

# Not part of a project's sources, and large, or left there by other builds
_NO_PACKAGES = {"setup", "conftest", "test", "tests", "doc", "docs", "examples", "tools", "benchmarks"}
_LARGE = 16 << 20  # an image or a core dump, which no build writes into
_NO_SOURCES = ("build", "dist", "node_modules", "venv", "env")


def make_shadow(checkout: str, shadow: str) -> None:
    """A folder that builds may write into, and that reads like the checkout: folders and large files are links.

    Neither version control (a worktree leads to the host) nor the metadata that another build left there come along.
    """
    os.makedirs(shadow)
    for entry in os.scandir(checkout):
        if entry.name.startswith(".") or entry.name in _NO_SOURCES or entry.name.endswith((".egg-info", ".dist-info")):
            continue
        target = os.path.join(shadow, entry.name)
        try:
            found = entry.stat()
        except OSError:  # a link that leads nowhere, or in a circle
            continue
        large = stat.S_ISREG(found.st_mode) and found.st_size > _LARGE
        if stat.S_ISDIR(found.st_mode) or large:
            os.symlink(entry.path, target)
        elif stat.S_ISREG(found.st_mode):
            with open(entry.path, "rb") as source, open(target, "wb") as copy:
                copy.write(source.read())


def made(shadow: str, written: str, system: dict[str, Any]) -> str:
    """The name of the dist-info folder that the project's build backend made in `written` (PEP 517)."""
    os.chdir(shadow)
    sys.argv[:] = ["setup.py"]
    backend = _backend(shadow, system)
    out = os.dup(1)
    os.dup2(2, 1)  # backends talk on standard output
    try:
        if "setuptools" in sys.modules and not _makes_wheels():
            return _metadata_of_egg(shadow, written)
        if hasattr(backend, "prepare_metadata_for_build_wheel"):
            return str(backend.prepare_metadata_for_build_wheel(written, {}))
        return _metadata_of_wheel(os.path.join(written, backend.build_wheel(written, {})), written)
    finally:
        sys.stdout.flush()
        os.dup2(out, 1)


def _backend(shadow: str, system: dict[str, Any]) -> Any:
    """What [build-system] of pyproject.toml names (`system`, read on the host); setuptools with setup.py otherwise."""
    sys.path[:0] = [os.path.join(shadow, folder) for folder in system.get("backend-path", [])]
    module, _, attribute = system.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
    backend = importlib.import_module(module)
    for name in attribute.split(".") if attribute else []:
        backend = getattr(backend, name)
    return backend


def _metadata_of_wheel(wheel: str, written: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.split("/")[0].endswith(".dist-info")]
        archive.extractall(written, names)
    return names[0].split("/")[0]


def _makes_wheels() -> bool:
    """setuptools before 70.1 leaves that to another package, which production need not have."""
    return any(importlib.util.find_spec(name) for name in ("setuptools.command.bdist_wheel", "wheel"))


def _metadata_of_egg(shadow: str, written: str) -> str:
    """setuptools' older form of metadata, put into today's."""
    sys.argv[1:] = ["--quiet", "egg_info", "--egg-base", written]
    script = os.path.join(shadow, "setup.py")
    if not os.path.exists(script):
        _write(script, "import setuptools; setuptools.setup()\n")
    runpy.run_path(script, run_name="__main__")
    egg = next(name for name in os.listdir(written) if name.endswith(".egg-info"))
    found = importlib.metadata.Distribution.at(os.path.join(written, egg))
    name = found.metadata["Name"].replace("-", "_")
    folder = os.path.join(written, f"{name}-{found.version}.dist-info")
    os.makedirs(folder)
    for file in ("entry_points.txt", "top_level.txt", "pbr.json"):
        if text := found.read_text(file):
            _write(os.path.join(folder, file), text)
    head, _, body = (found.read_text("PKG-INFO") or "").partition("\n\n")
    lines = [line for line in head.splitlines() if not line.startswith("Requires-Dist:")]
    lines += [f"Requires-Dist: {text}" for text in found.requires or []]
    _write(os.path.join(folder, "METADATA"), "\n".join(lines) + f"\n\n{body}")
    return folder


def complete(folder: str) -> None:
    """What an installer adds (PEP 376)."""
    _write(os.path.join(folder, "INSTALLER"), "devswap\n")
    name = os.path.basename(folder)
    _write(os.path.join(folder, "RECORD"), "".join(f"{name}/{file},,\n" for file in sorted(os.listdir(folder))))


def entry_points(folder: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    path = os.path.join(folder, "entry_points.txt")
    if os.path.exists(path):
        parser.read_string(read(path))
    return {section: dict(parser.items(section)) for section in parser.sections()}


def packages(metadata: str, checkout: str) -> set[str]:
    """What can be imported of a tree: top_level.txt of its metadata folder, or what its backend would take along.

    A name without a module of its own is a namespace that others share; what is below it counts.
    """
    sources = next(path for path in (os.path.join(checkout, "src"), checkout) if os.path.isdir(path))
    listed = os.path.join(metadata, "top_level.txt")
    if os.path.exists(listed):
        names = set(read(listed).split())
    else:
        names = {os.path.splitext(entry)[0] for entry in os.listdir(sources)} - _NO_PACKAGES
    return {found for name in names for found in _importable(sources, name)}


def _importable(sources: str, name: str) -> Any:
    folder = os.path.join(sources, *name.split("."))
    if os.path.isfile(os.path.join(folder, "__init__.py")) or os.path.isfile(f"{folder}.py"):
        yield name
    elif os.path.isdir(folder) and name.isidentifier():
        for entry in os.listdir(folder):
            if os.path.isfile(os.path.join(folder, entry, "__init__.py")):
                yield f"{name}.{entry}"


def marker_environment() -> dict[str, str]:
    """What requirements' markers ask of a Python (PEP 508)."""
    info = sys.implementation.version
    version = f"{info.major}.{info.minor}.{info.micro}"
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": version,
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "platform_python_implementation": platform.python_implementation(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
