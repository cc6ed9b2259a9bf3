"""Packages made on the fly: wheels, source archives and projects to check out, as small as they can be."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    *,
    requires: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    scripts: Mapping[str, str] | None = None,
) -> Path:
    """A pure wheel; without `files` it holds one module that knows its version."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    content = {
        **(files or {f"{module}.py": f"VERSION = {version!r}\n"}),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if scripts:
        lines = [f"{script} = {target}" for script, target in scripts.items()]
        content[f"{info}/entry_points.txt"] = "[console_scripts]\n" + "\n".join(lines) + "\n"
    content[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*content, f"{info}/RECORD"])
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    return wheel


def make_sdist(folder: Path, name: str, version: str, files: Mapping[str, str]) -> Path:
    """A source archive with these files and the PKG-INFO that every one has."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{name}-{version}.tar.gz"
    content = {"PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", **files}
    with tarfile.open(archive, "w:gz") as tar:
        for path, text in content.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    return archive


def make_library(folder: Path, name: str, *, requires: Sequence[str] = (), sources: str = "src") -> Path:
    """A checkout of a library called `name`, which is imported by another name: demo.lib is demo_lib."""
    package = folder / sources / name.replace(".", "_")
    package.mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "setup.cfg").write_text(f"[metadata]\nname = {name}\n")
    where = f"package_dir={{'': '{sources}'}}, " if sources else ""
    (folder / "setup.py").write_text(
        "import os, setuptools\n"
        f"setuptools.setup(version=os.environ['PBR_VERSION'], {where}packages=['{package.name}'], "
        f"install_requires={list(requires)!r})\n"
    )
    (package / "__init__.py").write_text("WHOSE = 'development'\n")
    return folder


def make_project(folder: Path, *, requires: Sequence[str] = (), code: str = "", extra: str = "") -> Path:
    """A checkout of openstack-demo: package `demo`, console script `demo-engine`, plain setuptools."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "openstack-demo"\nversion = "2.0"\n'
        f"dependencies = {list(requires)!r}\n"
        '[project.scripts]\ndemo-engine = "demo.engine:main"\n'
        f'[tool.setuptools]\npackages = ["demo"]\n{extra}'
    )
    package = folder / "demo"
    package.mkdir()
    (package / "__init__.py").write_text("WHOSE = 'development'\n")
    (package / "engine.py").write_text(
        f"import sys\nimport demo\n{code}\ndef main():\n    print(demo.WHOSE, *sys.argv[1:])\n"
    )
    return folder
