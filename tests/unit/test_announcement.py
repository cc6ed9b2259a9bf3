"""What is said of a run on a terminal that must answer within some time."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from devswap.announcement import Announcement
from devswap.errors import NotServing
from devswap.probe import Answer


class Asked:
    """A question that nobody answers."""

    def begin(self, *, seconds: float) -> None:
        pass

    def is_answered(self) -> bool:
        return False

    def withdraw(self) -> None:
        pass


def test_each_start_after_a_save_has_all_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown: Any = SimpleNamespace(say=lambda text: None, is_debugged=lambda: False)
    mute: Any = Asked()
    told = Announcement(
        shown,
        "heat-engine",
        "review/1",
        mute,
        100.0,
        arrived=lambda: None,
        join=lambda say: None,
        ask=lambda: Answer(serving=False, why="nobody answers"),
        within=60,
    )
    now[0] = 155
    told.again(mute, 155)
    now[0] = 214
    told.look()
    assert not told.is_over
    now[0] = 216
    with pytest.raises(NotServing, match="nobody answers"):
        told.look()
