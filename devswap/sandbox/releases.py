"""Which OpenStack releases the sandbox's repositories consist of, and a release's source tree as its repository had it.

The newest release on a stable branch is the one that an era's production runs, so that a change based on the branch is
exactly "production and one commit".
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REVIEW_HOST = "review.example.org"


@dataclass(frozen=True)
class Release:
    """One commit with one tag; `after` is its parent commit's release, `branch` the branch it is the head of."""

    version: str
    day: str
    after: str | None = None
    branch: str | None = None


@dataclass(frozen=True)
class Project:
    """A repository: its name, the package its releases are published as, and its releases, parents first."""

    name: str
    package: str
    releases: tuple[Release, ...]

    def head(self, branch: str) -> str:
        """The version that `branch` ends with."""
        return next(release.version for release in self.releases if release.branch == branch)


# A stable branch begins at the first release of its series; the next series goes on from there on master.
PROJECTS = (
    Project(
        "heat",
        "openstack-heat",
        (
            Release("24.0.0", "2025-04-02"),
            Release("24.1.2", "2026-10-22", after="24.0.0", branch="stable/2025.1"),
            Release("25.0.0", "2025-10-01", after="24.0.0"),
            Release("25.0.2", "2026-10-22", after="25.0.0", branch="stable/2025.2"),
            Release("26.0.0", "2026-04-01", after="25.0.0"),
            Release("26.0.2", "2026-10-22", after="26.0.0", branch="stable/2026.1"),
            Release("27.0.0", "2026-09-30", after="26.0.0", branch="master"),
        ),
    ),
    Project(
        "keystone",
        "keystone",
        (
            Release("27.0.0", "2025-04-02"),
            Release("27.1.0", "2026-09-03", after="27.0.0", branch="stable/2025.1"),
            Release("28.0.0", "2025-10-01", after="27.0.0"),
            Release("28.0.2", "2026-07-02", after="28.0.0", branch="stable/2025.2"),
            Release("29.0.0", "2026-04-01", after="28.0.0"),
            Release("29.0.2", "2026-07-02", after="29.0.0", branch="stable/2026.1"),
            Release("30.0.0", "2026-09-30", after="29.0.0", branch="master"),
        ),
    ),
    # A library that both use; its branches end with what their virtualenvs have of it.
    Project(
        "oslo.context",
        "oslo.context",
        (
            Release("5.7.0", "2024-11-19"),
            Release("5.7.1", "2025-02-21", after="5.7.0", branch="stable/2025.1"),
            Release("6.2.0", "2025-11-20", after="5.7.1"),
            Release("6.3.0", "2026-02-17", after="6.2.0", branch="stable/2026.1"),
            Release("6.4.0", "2026-05-18", after="6.3.0", branch="master"),
        ),
    ),
)

# Those of what a sandbox can have besides: see additions.py.
ADDED = (
    Project(
        "glance",
        "glance",
        (
            Release("30.0.0", "2025-04-02"),
            Release("30.2.0", "2026-03-23", after="30.0.0", branch="stable/2025.1"),
            Release("31.0.0", "2025-10-01", after="30.0.0"),
            Release("31.1.0", "2026-03-23", after="31.0.0", branch="stable/2025.2"),
            Release("32.0.0", "2026-04-01", after="31.0.0", branch="stable/2026.1"),
            Release("33.0.0", "2026-09-30", after="32.0.0", branch="master"),
        ),
    ),
    Project(
        "placement",
        "openstack-placement",
        (
            Release("13.0.0", "2025-04-02"),
            Release("13.0.1", "2026-10-09", after="13.0.0", branch="stable/2025.1"),
            Release("14.0.0", "2025-10-01", after="13.0.0", branch="stable/2025.2"),
            Release("15.0.0", "2026-04-01", after="14.0.0", branch="stable/2026.1"),
            Release("16.0.0", "2026-09-30", after="15.0.0", branch="master"),
        ),
    ),
    # No more than that of the one era which has it: it is large.
    Project(
        "nova",
        "nova",
        (
            Release("33.0.0", "2026-04-01"),
            Release("33.0.2", "2026-07-01", after="33.0.0", branch="stable/2026.1"),
            Release("34.0.0", "2026-09-30", after="33.0.0", branch="master"),
        ),
    ),
    Project(
        "neutron",
        "neutron",
        (
            Release("28.0.0", "2026-04-01"),
            Release("28.0.2", "2026-09-15", after="28.0.0", branch="stable/2026.1"),
            Release("29.0.0", "2026-09-30", after="28.0.0", branch="master"),
        ),
    ),
    Project(
        "cinder",
        "cinder",
        (
            Release("28.0.0", "2026-04-01", branch="stable/2026.1"),
            Release("29.0.0", "2026-09-30", after="28.0.0", branch="master"),
        ),
    ),
    Project(
        "ceilometer",
        "ceilometer",
        (
            Release("26.0.0", "2026-04-01", branch="stable/2026.1"),
            Release("27.0.0", "2026-09-30", after="26.0.0", branch="master"),
        ),
    ),
    Project(
        "swift",
        "swift",
        (
            Release("2.37.1", "2026-03-20"),
            Release("2.37.4", "2026-10-21", after="2.37.1", branch="stable/2026.1"),
            Release("2.38.3", "2026-10-21", after="2.37.1", branch="master"),
        ),
    ),
    Project(
        "horizon",
        "horizon",
        (
            Release("25.7.0", "2026-03-13"),
            Release("25.7.3", "2026-05-05", after="25.7.0", branch="stable/2026.1"),
            Release("27.0.0", "2026-09-18", after="25.7.0", branch="master"),
        ),
    ),
)

# The branch whose head is an era's production.
ERAS: Mapping[str, str] = {"current": "stable/2026.1", "2015": "stable/2025.1"}


def production_version(project: str, era: str) -> str:
    """The release of `project` that runs as production in `era`: `production_version("heat", "current")` is 26.0.2."""
    return next(each for each in (*PROJECTS, *ADDED) if each.name == project).head(ERAS[era])


@dataclass(frozen=True)
class SourceFile:
    content: bytes
    executable: bool = False


Tree = dict[str, SourceFile]

# What building the archive adds, and git ignores in the real repository.
_ADDED_BY_THE_BUILD = re.compile(r"PKG-INFO|AUTHORS|ChangeLog|[^/]+\.egg-info/.*|RELEASENOTES\.rst")
_BUILD_SECTION = re.compile(rb"\n\[egg_info\]\n(?:[^\[\n][^\n]*\n|\n)*")
_IGNORED = b"""*.py[co]
__pycache__/
*.egg-info/
.eggs/
build/
dist/
.venv/
.tox/
.stestr/
AUTHORS
ChangeLog
"""


def tree(archive: Path, project: str, branch: str | None) -> Tree:
    """The files of a source archive, without what the build added and with what it left out."""
    files: Tree = {}
    with tarfile.open(archive) as members:
        for member in members:
            path = member.name.partition("/")[2]
            content = members.extractfile(member) if member.isfile() else None
            if content is not None and not _ADDED_BY_THE_BUILD.fullmatch(path):
                files[path] = SourceFile(content.read(), executable=bool(member.mode & 0o100))
    files["setup.cfg"] = SourceFile(_BUILD_SECTION.sub(b"\n", files["setup.cfg"].content).rstrip() + b"\n")
    files[".gitignore"] = SourceFile(_IGNORED)
    files[".gitreview"] = SourceFile(_gitreview(project, branch).encode())
    return files


def _gitreview(project: str, branch: str | None) -> str:
    lines = ["[gerrit]", f"host={REVIEW_HOST}", "port=29418", f"project=openstack/{project}.git"]
    if branch not in (None, "master"):
        lines.append(f"defaultbranch={branch}")
    return "\n".join(lines) + "\n"
