"""The table of what an overlay holds besides production's packages."""

from __future__ import annotations

from devswap import overlay_table, table
from devswap.installer import Installed

NEW = Installed("humanize", "4.9.0", None, "public index", "heat needs humanize>=4", "humanize===4.9.0", "abc")
RAISED = Installed("aodh", "2.0", "1.0", "private index", "heat needs aodh>=2, production has 1.0")


def test_each_package_is_shown_with_what_it_replaces_where_it_is_from_and_why() -> None:
    shown = table.lines(overlay_table.HEADER, overlay_table.rows(overlay_table.lock([NEW, RAISED])))
    words = [" ".join(line.split()) for line in shown]
    assert words == [
        "PACKAGE FROM TO WHERE FROM WHY",
        "aodh 1.0 2.0 private index heat needs aodh>=2, production has 1.0",
        "humanize - 4.9.0 public index, held by humanize===4.9.0 heat needs humanize>=4",
    ]


def test_a_lock_says_which_file_each_package_came_in() -> None:
    first, second = overlay_table.lock([NEW, RAISED])
    assert (first["package"], first["from"], first["sha256"]) == ("aodh", "1.0", None)
    assert (second["package"], second["from"], second["to"], second["sha256"]) == ("humanize", None, "4.9.0", "abc")
    assert overlay_table.summary([first, second]) == "aodh 2.0 (production has 1.0), humanize 4.9.0"
