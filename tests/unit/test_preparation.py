"""What is found while production serves: then it goes on serving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devswap import status, swap
from devswap.errors import DevswapError, PackagesRefused
from devswap.installer import Installed
from devswap.overlay import Overlay
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


def test_what_a_policy_forbids_is_refused_with_the_command_that_allows_it(tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> Overlay:
        raise PackagesRefused("the private index lacks humanize", hint="allow the public index for what is missing")

    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("needy")
    wish = Wish("heat-engine", "needy", None, None, detach=True)
    with pytest.raises(DevswapError, match="lacks humanize") as caught:
        swap.checkout(cloud.host(), wish, replace(cloud.makers, build=refuse))
    assert (caught.value.hint or "").endswith(": devswap checkout heat-engine needy --index-policy fallback")
    assert differences(cloud, cloud.take()) == []


def test_the_lock_of_what_was_installed_is_kept_and_shown_with_the_swap(tmp_path: Path) -> None:
    cloud = SimulatedCloud(tmp_path)
    cloud.checkout("needy")
    made = Installed("humanize", "4.9.0", None, "public index", "heat needs humanize", sha256="abc")

    def build(*arguments: Any, **options: Any) -> Overlay:
        return replace(cloud.makers.build(*arguments, **options), installed=(made,))

    makers = replace(cloud.makers, build=build)
    wish = Wish("heat-engine", "needy", None, None, detach=True)
    planned = swap.plan(cloud.host(), wish, makers)
    swap.checkout(cloud.host(), wish, makers)
    (journal,) = cloud.host().journals.all()
    assert planned.packages == ["humanize 4.9.0 from the public index: heat needs humanize"]
    assert planned.installs == journal.swap.overlay["packages"] == status.of(cloud.host(), journal).packages
    assert planned.installs[0]["sha256"] == "abc"
    assert any("public index" in line and "heat needs humanize" in line for line in cloud.said)
