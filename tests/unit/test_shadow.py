"""What a build is shown of a checkout: what lies about in somebody's own tree is in nobody's way."""

from __future__ import annotations

import os
from pathlib import Path

from devswap import inside_metadata


def test_a_shadow_holds_what_a_build_may_write_and_links_to_the_rest(tmp_path: Path) -> None:
    tree, shadow = tmp_path / "tree", tmp_path / "shadow"
    (tree / "demo").mkdir(parents=True)
    (tree / "setup.cfg").write_text("[metadata]\n")
    with (tree / "disk.img").open("wb") as image:
        image.truncate(1 << 40)
    (tree / "circle").symlink_to("circle")
    (tree / "nowhere").symlink_to("/nothing/at/all")
    os.mkfifo(tree / "pipe")
    inside_metadata.make_shadow(str(tree), str(shadow))
    assert sorted(path.name for path in shadow.iterdir()) == ["demo", "disk.img", "setup.cfg"]
    assert sorted(path.name for path in shadow.iterdir() if path.is_symlink()) == ["demo", "disk.img"]
    (shadow / "setup.cfg").write_text("")
    assert (tree / "setup.cfg").read_text() == "[metadata]\n"
