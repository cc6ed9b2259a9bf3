"""Puts many configuration files into a container at once, as one tar archive read by the container's own tar.

Its own, so that user names mean the container's users and links inside it are its own links.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class File:
    """A file to be, with its whole text; `owner` is user and group alike unless `group` says otherwise."""

    path: str
    text: str
    owner: str = "root"
    group: str | None = None
    mode: int = 0o644


@dataclass(frozen=True)
class Folder:
    path: str
    owner: str = "root"
    group: str | None = None
    mode: int = 0o755


def write_archive(entries: Iterable[File | Folder], path: Path) -> None:
    """Folders come first, so that a file finds its folder with the right owner."""
    ordered = sorted(entries, key=lambda entry: (isinstance(entry, File), entry.path))
    with tarfile.open(path, "w") as archive:
        for entry in ordered:
            info = tarfile.TarInfo(entry.path.lstrip("/"))
            info.mtime = time.time()
            info.mode, info.uname, info.gname = entry.mode, entry.owner, entry.group or entry.owner
            if isinstance(entry, Folder):
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
            else:
                content = entry.text.encode()
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


EXTRACT = ("tar", "--extract", "--directory=/", "--keep-directory-symlink", "--no-overwrite-dir", "--file")


def link_tree(source: Path, target: Path) -> None:
    """The same files again without their bytes, or copies where the cache is on another file system."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if (target / path.name).exists():
            continue
        try:
            os.link(path, target / path.name)
        except OSError:
            shutil.copy2(path, target / path.name)
