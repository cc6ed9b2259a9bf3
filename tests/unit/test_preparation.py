"""What is found while production serves: then it goes on serving."""

from __future__ import annotations

from pathlib import Path

import pytest

from devswap import swap
from devswap.errors import DevswapError
from devswap.preparation import Wish
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences


@pytest.mark.parametrize(
    ("revisions", "script"), [(("a1",), "heat-engine"), (("a1", "b2"), "heat-manage")], ids=["service", "migration"]
)
def test_a_script_that_the_change_renamed_is_noticed_before_the_stop(
    tmp_path: Path, revisions: tuple[str, ...], script: str
) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("renamed", revisions=revisions)
    (tmp_path / "overlays/renamed/bin" / script).unlink()
    before = cloud.take()
    with pytest.raises(DevswapError, match=f"has no script {script}, which heat-engine.service"):
        swap.checkout(cloud.host(), Wish("heat-engine", "renamed", None, None, detach=True), cloud.makers)
    assert not any("stopping" in line for line in cloud.said)
    assert differences(cloud, before) == []
