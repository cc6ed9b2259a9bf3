"""Builds the git repositories that the sandbox's git server serves: released sources, and changes under review.

Everything in them has fixed dates and names, so the same commits come out on every host. They are kept in the cache
below a name made of the recipe itself, so an edited recipe is built anew and an unchanged one is only copied.
"""

from __future__ import annotations

import calendar
import hashlib
import io
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from devswap import process
from devswap.sandbox import (
    changes,
    edits,
    edits_of_ceilometer,
    edits_of_cinder,
    edits_of_horizon,
    edits_of_neutron,
    edits_of_nova,
    edits_of_swift,
    package_index,
    releases,
)
from devswap.sandbox.changes import CHANGES
from devswap.sandbox.layers import Cache
from devswap.sandbox.releases import ADDED, PROJECTS, Project, Release, Tree

_ROBOT = "Release Robot <robot@example.org>"
_DEVELOPER = "Ada Example <ada@example.org>"
_REVIEW_DAY = "2026-11-02"
_RECIPE = "recipe"
_OF_CHANGES = (
    changes,
    edits,
    edits_of_ceilometer,
    edits_of_cinder,
    edits_of_horizon,
    edits_of_neutron,
    edits_of_nova,
    edits_of_swift,
    releases,
)
_SETTINGS = {
    # partial clones, and a commit fetched by its name alone, as the servers of OpenStack allow
    "uploadpack.allowFilter": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    # a repository made by fast-import in one piece has nothing to gain from housekeeping in the server's container
    "gc.auto": "0",
}


def build(root: Path, *, cache: Path, additions: Sequence[str] = (), say: Callable[[str], None]) -> None:
    """Make `root`/openstack/heat.git and the others, for `git daemon --base-path=root`, unless they are there.

    Downloads what `cache` lacks. Whoever serves them must own them or trust them (git's safe.directory).
    """
    for project in (*PROJECTS, *(project for project in ADDED if project.name in additions)):
        target = root / "openstack" / f"{project.name}.git"
        if _recipe_of(target) == _recipe():
            continue
        made = _cached(project, cache, say)
        partial = target.with_name(f".{target.name}.{os.getpid()}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(made, partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)


def _cached(project: Project, cache: Path, say: Callable[[str], None]) -> Path:
    made = cache / "repositories" / _recipe() / f"{project.name}.git"
    with Cache(cache).locked(say, "repositories"):
        if _recipe_of(made) is not None:
            return made
        archives = _archives(project, cache / "sources", say)
        say(f"making the repository of {project.name}")
        partial = made.with_name(f"{made.name}.{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _make(partial, project, archives)
        shutil.rmtree(made, ignore_errors=True)
        partial.rename(made)
    return made


def _archives(project: Project, folder: Path, say: Callable[[str], None]) -> dict[str, Path]:
    index: package_index.PackageIndex | None = None
    found = {}
    for release in project.releases:
        path = package_index.kept(folder, project.package, release.version)
        if not path.exists():
            index = index or package_index.of_this_host()
            say(f"downloading {project.package} {release.version}")
            package_index.download(index, project.package, release.version, path)
        found[release.version] = path
    return found


def _make(repository: Path, project: Project, archives: dict[str, Path]) -> None:
    environment = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*argv: str) -> None:
        process.run(["git", "-C", str(repository), *argv], env=environment, timeout=60)

    git("init", "--quiet", "--bare", "--template=", "--initial-branch=master", ".")
    for name, value in _SETTINGS.items():
        git("config", name, value)
    stream = repository / "import"
    with stream.open("wb") as written:
        _Import(written).project(project, archives)
    with stream.open("rb") as file:
        process.run(
            ["git", "-C", str(repository), "fast-import", "--quiet", "--date-format=raw"],
            stdin=file,
            env=environment,
            timeout=300,
        )
    stream.unlink()
    git("pack-refs", "--all")
    (repository / _RECIPE).write_text(_recipe())


def _recipe_of(repository: Path) -> str | None:
    """The recipe a finished repository was made by."""
    try:
        return (repository / _RECIPE).read_text()
    except OSError:
        return None


def _recipe() -> str:
    sources = (Path(str(module.__file__)) for module in _OF_CHANGES)
    own = Path(__file__)
    return hashlib.sha256(b"".join(path.read_bytes() for path in (*sources, own))).hexdigest()[:16]


class _Import:
    """Writes a stream for git fast-import (see its manual): one process for all commits, whole releases from memory."""

    def __init__(self, stream: io.BufferedWriter) -> None:
        self._stream = stream
        self._marks = 0
        self._blobs: dict[bytes, int] = {}

    def project(self, project: Project, archives: dict[str, Path]) -> None:
        commits: dict[str, int] = {}
        for release in project.releases:
            tree = releases.tree(archives[release.version], project.name, release.branch)
            parent = commits[release.after] if release.after else None
            commits[release.version] = self._release(release, tree, parent)
            for change in (*CHANGES, *changes.ADDED):
                if change.project == project.name and change.branch == release.branch:
                    self._change(change, tree, commits[release.version])

    def _release(self, release: Release, tree: Tree, parent: int | None) -> int:
        mark = self._commit("refs/heads/import", _ROBOT, release.day, f"Release {release.version}\n", tree, parent)
        self._write(f"tag {release.version}\nfrom :{mark}\ntagger {_signature(_ROBOT, release.day)}\n")
        self._content(f"{release.version}\n".encode())
        if release.branch:
            self._point(f"refs/heads/{release.branch}", mark)
        self._write(f"reset refs/heads/import\nfrom {'0' * 40}\n\n")
        return mark

    def _change(self, change: changes.Change, tree: Tree, parent: int) -> None:
        for number, patchset in enumerate(change.patchsets, 1):
            mark = self._commit(
                change.ref(number), _DEVELOPER, _REVIEW_DAY, change.message, patchset.edit(tree), parent
            )
        self._point(change.pull_request, mark)

    def _commit(self, ref: str, who: str, day: str, message: str, tree: Tree, parent: int | None) -> int:
        blobs = {path: self._blob(file.content) for path, file in tree.items()}
        self._marks += 1
        mark = self._marks
        signature = _signature(who, day)
        self._write(f"commit {ref}\nmark :{mark}\nauthor {signature}\ncommitter {signature}\n")
        self._content(message.encode())
        if parent is not None:
            self._write(f"from :{parent}\n")
        self._write("deleteall\n")
        for path, blob in blobs.items():
            self._write(f"M {'100755' if tree[path].executable else '100644'} :{blob} {path}\n")
        self._write("\n")
        return mark

    def _blob(self, content: bytes) -> int:
        digest = hashlib.sha256(content).digest()
        if digest not in self._blobs:
            self._marks += 1
            self._blobs[digest] = self._marks
            self._write(f"blob\nmark :{self._marks}\n")
            self._content(content)
        return self._blobs[digest]

    def _point(self, ref: str, mark: int) -> None:
        self._write(f"reset {ref}\nfrom :{mark}\n\n")

    def _content(self, content: bytes) -> None:
        self._write(f"data {len(content)}\n")
        self._stream.write(content + b"\n")

    def _write(self, text: str) -> None:
        self._stream.write(text.encode())


def _signature(who: str, day: str) -> str:
    return f"{who} {calendar.timegm(time.strptime(day, '%Y-%m-%d'))} +0000"
