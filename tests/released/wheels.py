"""Wheels as the projects released them, from whichever package index pip is configured for, kept for the next run."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

CACHE = Path("/var/cache/devswap/tests/wheels")
_PINNED = Path(__file__).with_name("packages.txt")
_REACH = 2
"""How many imports away from a command's own module its arguments may be read."""


class Wheel:
    """What one released wheel has, read without installing or running any of it."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._archive = zipfile.ZipFile(path)
        self._names = set(self._archive.namelist())

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def scripts(self) -> dict[str, str]:
        """Console scripts and pbr's WSGI scripts with the module each calls, which is empty for plain files."""
        files = {name.rpartition("/")[2]: "" for name in self._names if ".data/scripts/" in name}
        return {**files, **self._entry_points.get("wsgi_scripts", {}), **self._entry_points.get("console_scripts", {})}

    @cached_property
    def _entry_points(self) -> dict[str, dict[str, str]]:
        """{group: {name: module}}."""
        read = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
        read.optionxform = str  # type: ignore[assignment,method-assign]
        for name in self._names:
            if name.endswith(".dist-info/entry_points.txt"):
                read.read_string(self._archive.read(name).decode())
        return {
            group: {name: place.partition(":")[0].strip() for name, place in read.items(group)}
            for group in read.sections()
        }

    def file_of(self, module: str) -> str | None:
        stem = module.replace(".", "/")
        return next((name for name in (f"{stem}.py", f"{stem}/__init__.py") if name in self._names), None)

    def has(self, module: str) -> bool:
        return self.file_of(module) is not None

    def words(self, module: str) -> set[str]:
        """Texts and the names of functions in the code that a command is made of."""
        found: set[str] = set()
        for tree in self._trees(module, _REACH, set()):
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
                elif isinstance(node, ast.FunctionDef):
                    found |= {node.name, node.name.removeprefix("do_")}
        for group in found & self._entry_points.keys():  # commands that are plugins, as designate-manage's are
            for name, place in self._entry_points[group].items():
                found |= {name, *self.words(place)} if group.endswith(".manage") else {name}
        return found

    def _trees(self, module: str, reach: int, seen: set[str]) -> Iterator[ast.Module]:
        file = self.file_of(module)
        if file is None or file in seen:
            return
        seen.add(file)
        tree = ast.parse(self._archive.read(file))
        yield tree
        own = module.partition(".")[0]
        for node in ast.walk(tree) if reach else ():
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == own:
                for each in (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)):
                    yield from self._trees(each, reach - 1, seen)

    def unpack(self, folders: tuple[str, ...], into: Path) -> Path:
        """Only what is below `folders`."""
        wanted = [name for name in self._names if name.startswith(tuple(f"{folder}/" for folder in folders))]
        self._archive.extractall(into, wanted)
        return into


def released() -> dict[str, list[Wheel]]:
    """{distribution: its wheels, the newest first}; asks the index for what the cache lacks."""
    series = [block.split() for block in re.sub(r"#.*", "", _PINNED.read_text()).split("\n\n")]
    CACHE.mkdir(parents=True, exist_ok=True)
    _download([[pin for pin in pins if not _kept(pin)] for pins in series])
    found: dict[str, list[Wheel]] = {}
    for pin in (pin for pins in series for pin in pins):
        (path,) = _kept(pin)
        found.setdefault(pin.partition("==")[0], []).append(Wheel(path))
    return found


def _kept(pin: str) -> list[Path]:
    name, _, version = pin.partition("==")
    return list(CACHE.glob(f"{re.sub('[-.]', '_', name)}-{version}-*.whl"))


def _download(series: list[list[str]]) -> None:
    """One pip for each series, side by side, since it takes one version of a package; whole wheels reach the cache."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
        argv = (*pip, "--only-binary", ":all:", "--dest", folder)
        running = [subprocess.Popen([*argv, *pins], stderr=subprocess.PIPE, text=True) for pins in series if pins]
        for each in running:
            _, said = each.communicate()
            assert each.returncode == 0, f"the index does not give what the catalogue is compared with: {said}"
        for path in Path(folder).glob("*.whl"):
            path.replace(CACHE / path.name)
