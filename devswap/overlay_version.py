"""Gives a copied overlay another version of its project; nothing else in it depends on that."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version


def change(overlay: Path, distribution: str, version: str) -> None:
    """Let the metadata of `distribution` in the folder `overlay`, which only root can write, say `version`.

    A project that states a version of its own, whatever git says, keeps it: see `follows`.
    """
    for folder in overlay.glob("lib/python*/site-packages/*.dist-info"):
        name, _, old = folder.name.removesuffix(".dist-info").rpartition("-")
        if canonicalize_name(name) == canonicalize_name(distribution):
            new = str(Version(version))
            metadata = folder / "METADATA"
            text = metadata.read_text(encoding="utf-8")
            metadata.write_text(
                re.sub(r"^Version: .*$", f"Version: {new}", text, count=1, flags=re.M), encoding="utf-8"
            )
            record = folder / "RECORD"
            record.write_text(record.read_text(encoding="utf-8").replace(f"{name}-{old}", f"{name}-{new}"))
            folder.rename(folder.with_name(f"{name}-{new}.dist-info"))


def follows(metadata: str, version: str) -> bool:
    """Whether the version in the METADATA text is the one that was passed to the build."""
    found = re.search(r"^Version: (.*)$", metadata, flags=re.M)
    return bool(found) and Version(found[1].strip()) == Version(version)  # type: ignore[index]
