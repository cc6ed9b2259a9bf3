"""Links of a machine are followed as the kernel does."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import links
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/etc/plain/file", "/etc/plain/file"),
        ("/etc/far/file", "/srv/real/file"),
        ("/etc/near/file", "/etc/plain/file"),
        ("/etc/both/file", "/srv/real/file"),
        ("/etc/up/x", "/srv/x"),
        ("/etc/missing/./file/", "/etc/missing/file"),
    ],
)
def test_a_path_is_told_without_links(tmp_path: Path, path: str, real: str) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    images.put(machine.files, "/etc/plain/file", "")
    images.put(machine.files, "/srv/real/file", "")
    for name, target in (("far", "/srv/real"), ("near", "plain"), ("both", "./far"), ("up", "/srv/real/..")):
        machine.files.link(f"/etc/{name}", target)
    assert links.followed(machine, path) == real


def test_links_in_a_circle_are_not_followed_for_ever(tmp_path: Path) -> None:
    machine = SimulatedCloud(tmp_path).machine(images.HEAT)
    machine.files.link("/etc/one", "two")
    machine.files.link("/etc/two", "one")
    assert links.followed(machine, "/etc/one/file") == "/etc/one/file"
