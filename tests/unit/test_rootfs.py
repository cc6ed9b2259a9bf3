"""A machine's files, seen from the host: what cannot be there is not, and nothing half written is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import rootfs


def test_links_that_lead_nowhere_or_in_a_circle_lead_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "nowhere").symlink_to("/not/there")
    (tmp_path / "file").write_text("")
    with rootfs.opened(tmp_path) as files:
        assert [files.stat(path) for path in ("/circle", "/nowhere", "/file/below")] == [None] * 3
        assert files.stat("/file") is not None


def test_what_cannot_take_its_place_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "taken/by").mkdir(parents=True)
    with rootfs.opened(tmp_path) as files, pytest.raises(IsADirectoryError):
        files.replace("/taken", b"a secret", mode=0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
