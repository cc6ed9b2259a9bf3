"""The folder of programs that build overlays, made once on the host and mounted read-only where one is built.

virtualenv and what it needs are pure Python, and pip is the wheel that virtualenv brings for the machine's Python: so
overlays can be built for an interpreter that the host lacks, and where production has no pip.
"""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from devswap import process
from devswap.errors import DevswapError

_ROOT = "virtualenv"
_BUILDS = ("inside.py", "inside_metadata.py")
_OWN = (*_BUILDS, "bytecode.py", "serve.py")
_OWN_FOLDER = "debugger"
_PIP = "pip"
_IN_PIP = re.compile(rf"/{_PIP}/")


def begin(cache: Path, python_version: str) -> None:
    """Have the first tools made by another process, while this one does something else; `folder` waits for it.

    That process goes on to compile pip, which most overlays do without, when nobody waits for it.
    """
    if (cache / "tools").exists():
        return
    argv = [sys.executable, "-I", "-m", "devswap.overlay_tools", str(cache), python_version]
    process.popen(argv, stdin=process.DEVNULL, stdout=process.DEVNULL, stderr=process.DEVNULL)


def folder(cache: Path, python_version: str, *, compiles_pip: bool = True) -> Path:
    """The tools for building with Python `python_version` ("3.11"), below `cache`; made if they are not there."""
    from virtualenv.seed.wheels.embed import BUNDLE_SUPPORT, get_embed_wheel  # slow, and needed for building only

    pip = get_embed_wheel("pip", python_version)
    # for a version that it does not list, it gives the newest pip: right for a newer Python, wrong for an older one
    if pip is None or Version(python_version) < min(map(Version, BUNDLE_SUPPORT)):
        present = importlib.metadata.version(_ROOT)
        raise DevswapError(
            f"cannot build for Python {python_version}: virtualenv {present} knows no pip for it",
            hint="another release of virtualenv may: see its documentation for the versions of Python that it supports",
        )
    distributions = list(_needed())
    target = cache / "tools" / _key(distributions, pip.path.name)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel drops it when its holder dies
        if not target.exists():
            for left in target.parent.glob(".tools-*"):  # by one that was killed
                shutil.rmtree(left, ignore_errors=True)
            skipped = None if compiles_pip else _IN_PIP
            _make(target, distributions, pip.path, compiled=_is_of_host(python_version), skipped=skipped)
    return target


def _is_of_host(python_version: str) -> bool:
    """Bytecode of another Python would not be read."""
    return python_version == f"{sys.version_info.major}.{sys.version_info.minor}"


def _needed() -> Iterator[importlib.metadata.Distribution]:
    """virtualenv and its requirements that are installed here.

    Markers are not asked: they speak of the host's Python, and what the machine's needs more may well be here too.
    """
    waiting, seen = [_ROOT], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [Requirement(text).name for text in found.requires or [] if "extra ==" not in text]
        yield found


def _key(distributions: list[importlib.metadata.Distribution], pip: str) -> str:
    parts = sorted(f"{found.metadata['Name']} {found.version}" for found in distributions)
    return hashlib.sha256("\n".join([*parts, pip, *_own().values()]).encode()).hexdigest()[:16]


def _own() -> dict[str, str]:
    """The files of devswap itself that run in the machine."""
    here = resources.files("devswap")
    folder = here / _OWN_FOLDER
    names = [*_OWN, *(f"{_OWN_FOLDER}/{file.name}" for file in folder.iterdir() if file.name.endswith(".py"))]
    return {name: (here / name).read_text(encoding="utf-8") for name in sorted(names)}


def brought_digest() -> str:
    """Changes with what of devswap itself comes into every overlay."""
    brought = [text for name, text in _own().items() if name not in _BUILDS]
    return hashlib.sha256("\n".join(brought).encode()).hexdigest()


def _make(
    target: Path,
    distributions: list[importlib.metadata.Distribution],
    pip: Path,
    *,
    compiled: bool,
    skipped: re.Pattern[str] | None,
) -> None:
    partial = Path(tempfile.mkdtemp(prefix=".tools-", dir=target.parent))
    try:
        for found in distributions:
            _copy(found, partial)
        with zipfile.ZipFile(pip) as wheel:
            wheel.extractall(partial / _PIP)
        (partial / _OWN_FOLDER).mkdir()
        for name, text in _own().items():
            (partial / name).write_text(text, encoding="utf-8")
        if compiled:
            compileall.compile_dir(partial, quiet=2, rx=skipped)
        _readable(partial)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _copy(found: importlib.metadata.Distribution, target: Path) -> None:
    """The package's files as the installer listed them; compiled ones fit the host's Python only."""
    for file in found.files or []:
        if ".." in file.parts or "__pycache__" in file.parts or file.suffix in (".pyc", ".so", ".whl"):
            continue
        source, copy = Path(str(file.locate())), target / file
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def _readable(root: Path) -> None:
    """For every service's user, whatever the umask here is."""
    for parent, folders, files in os.walk(root):
        for name in (".", *folders):
            os.chmod(Path(parent) / name, 0o755)  # noqa: S103
        for name in files:
            os.chmod(Path(parent) / name, 0o644)


def _make_early(cache: Path, python_version: str) -> None:
    made = folder(cache, python_version, compiles_pip=False)
    if _is_of_host(python_version):
        os.nice(19)
        compileall.compile_dir(made / _PIP, quiet=2)
        _readable(made / _PIP)


if __name__ == "__main__":
    _make_early(Path(sys.argv[1]), sys.argv[2])
