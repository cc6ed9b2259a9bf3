"""The version that pbr would give a commit, worked out with git on the host and passed as PBR_VERSION.

Inside a machine pbr cannot ask git: the checkout's objects live on the host. The rule is pbr's (its packaging.py and
version.py): a tagged commit has its tag's version; otherwise the last tag's version is incremented as the Sem-Ver
footers since then ask (by default the patch level, or a pre-release's serial), and `.devN` counts the commits since.
"""

from __future__ import annotations

import configparser
import re
from email.parser import HeaderParser

from packaging.version import InvalidVersion, Version

from devswap.git import Git

_DESCRIBED = re.compile(r"(?P<tag>.+)-(?P<distance>\d+)-g[0-9a-f]+")


def version_of(git: Git, commit: str) -> str:
    """A PEP 440 version; without any tag the one in PKG-INFO or setup.cfg, and 0.0.1.devN as the last resort."""
    tag, distance = _last_tag(git, commit)
    if tag is None:
        return _written_down(git, commit) or _counted(int(git.read("rev-list", "--count", commit, "--")) - 1)
    last = _version(tag)
    if last is None or distance == 0:
        return str(last or tag)
    counted = f"{_incremented(last, _sem_ver(git, tag, commit))}.dev{distance}"
    planned = _version(_in_setup_cfg(git, commit) or "")
    if planned is not None and Version(f"{planned}.dev{distance}") > Version(counted):
        return f"{planned}.dev{distance}"
    return counted


def _counted(distance: int) -> str:
    """pbr takes the first commit for version 0."""
    return f"0.0.1.dev{distance}" if distance else "0.0.0"


def _last_tag(git: Git, commit: str) -> tuple[str | None, int]:
    """The highest version among the tags of the nearest tagged commit, and how many commits ago that was.

    OpenStack tags one commit as release candidate and as release; end-of-life tags are no versions.
    """
    described = git.run(
        "describe", "--tags", "--long", "--match=[0-9]*", "--match=v[0-9]*", "--exclude=*-e*", commit, ok=(0, 128)
    )
    found = _DESCRIBED.fullmatch(described.stdout.strip())
    if found is None:
        return None, 0
    beside = git.read("tag", "--points-at", f"refs/tags/{found['tag']}").splitlines()
    versions = {version: tag for tag in beside if (version := _version(tag)) is not None}
    return (versions[max(versions)] if versions else found["tag"]), int(found["distance"])


def _sem_ver(git: Git, tag: str, commit: str) -> set[str]:
    log = git.read("log", "--format=%B", f"refs/tags/{tag}..{commit}", "--")
    lines = re.findall(r"^\s*sem-ver:(.*)$", log, re.MULTILINE | re.IGNORECASE)
    return {word.strip().lower() for line in lines for word in line.split(",")}


def _incremented(last: Version, wanted: set[str]) -> str:
    major, minor, patch = (*last.release, 0, 0, 0)[:3]
    if "api-break" in wanted:
        return f"{major + 1}.0.0"
    if wanted & {"feature", "deprecation"}:
        return f"{major}.{minor + 1}.0"
    if last.pre:
        kind, serial = last.pre
        return f"{major}.{minor}.{patch}.0{kind}{serial + 1}"
    return f"{major}.{minor}.{patch + 1}"


def _written_down(git: Git, commit: str) -> str | None:
    """The version in files of the tree: a source archive's PKG-INFO, or setup.cfg."""
    package = HeaderParser().parsestr(git.run("show", f"{commit}:PKG-INFO", ok=(0, 128)).stdout)
    version = _version(str(package["Version"] or "")) or _version(_in_setup_cfg(git, commit) or "")
    return str(version) if version else None


def _in_setup_cfg(git: Git, commit: str) -> str | None:
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        settings.read_string(git.run("show", f"{commit}:setup.cfg", ok=(0, 128)).stdout)
    except configparser.Error:
        return None
    return settings.get("metadata", "version", fallback=None)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
