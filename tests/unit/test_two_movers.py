"""Several swaps that move the traffic of one HAProxy server: in any order, the last that leaves puts it back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import pytest

from devswap import narrowing, rotation, swap
from devswap.errors import NotWhole
from devswap.proof import Restored
from devswap.wish import Wish
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud, no_waiting
from tests.simulated.comparison import differences

SERVICE, NARROWING, OTHER = "heat-api", "haproxy:heat-api", "haproxy:other"
OURS, THEIRS = f"lxc:{images.HEAT}", f"lxc:{images.API_PEER}"
ORDERS = list(permutations((OURS, THEIRS)))


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimulatedCloud]:
    found = SimulatedCloud(tmp_path)
    found.balance()
    found.add_api()
    for name in ("plain", "other"):
        found.checkout(name)
    monkeypatch.setattr(rotation, "ANSWER_SECONDS", 0.0)
    with no_waiting(monkeypatch):
        yield found


def checkout(cloud: SimulatedCloud, machine: str, *, patient: bool = False, detach: bool = True) -> None:
    wish = Wish(SERVICE, "plain", machine, None, detach, breakpoints=patient)
    swap.checkout(cloud.host(), wish, cloud.makers)


def restore(cloud: SimulatedCloud, name: str) -> Restored:
    """By its machine, or by the name of a narrowing."""
    (journal,) = [one for one in cloud.host().journals.all() if name in (one.swap.machine, one.swap.service)]
    return swap.restore(cloud.host(), journal)


def serving(cloud: SimulatedCloud) -> set[str]:
    return set(cloud.haproxy.serving(images.BACKEND))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("first", ORDERS)
@pytest.mark.parametrize("patient", [False, True])
def test_both_servers_of_a_backend_are_given_back_in_either_order(
    cloud: SimulatedCloud, *, first: tuple[str, str], order: tuple[str, str], patient: bool
) -> None:
    before = cloud.take()
    for machine in first:
        checkout(cloud, machine, patient=patient)
    for machine in order:
        restore(cloud, machine)
    assert differences(cloud, before) == []


@pytest.mark.parametrize("order", list(permutations((NARROWING, THEIRS))))
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("patient", [False, True])
def test_who_is_swapped_within_a_narrowing_to_another_is_given_back_in_either_order(
    cloud: SimulatedCloud, *, order: tuple[str, str], exclusive: bool, patient: bool
) -> None:
    before = cloud.take()
    narrowing.narrow(cloud.host(), SERVICE, to=images.HEAT, exclusive=exclusive)
    checkout(cloud, THEIRS, patient=patient)
    assert serving(cloud) == {images.OURS}
    for name in order:
        restore(cloud, name)
    assert differences(cloud, before) == []


@pytest.mark.parametrize("order", list(permutations((NARROWING, THEIRS))))
def test_what_does_not_run_gets_no_requests_when_a_narrowing_ends(
    cloud: SimulatedCloud, order: tuple[str, str]
) -> None:
    """Two have taken the server out, and each puts it in only as far as the other lets it."""
    before = cloud.take()
    narrowing.narrow(cloud.host(), SERVICE, to=images.HEAT, exclusive=True)
    checkout(cloud, THEIRS, detach=False)
    assert serving(cloud) == {images.OURS}
    restore(cloud, order[0])
    assert serving(cloud) == {images.OURS}
    restore(cloud, order[1])
    assert differences(cloud, before) == []


def test_patience_of_one_outlives_the_swap_of_the_other(cloud: SimulatedCloud) -> None:
    before = cloud.take()
    checkout(cloud, OURS, patient=True)
    checkout(cloud, THEIRS, patient=True)
    restore(cloud, OURS)
    assert "timeout server 1h" in (cloud.machine(images.HAPROXY).read_text("/etc/haproxy/haproxy.cfg") or "")
    restore(cloud, THEIRS)
    assert differences(cloud, before) == []


@pytest.mark.parametrize("order", ORDERS)
def test_the_last_that_leaves_compares_with_how_it_was_before_the_first(
    cloud: SimulatedCloud, order: tuple[str, str]
) -> None:
    checkout(cloud, OURS)
    checkout(cloud, THEIRS)
    restore(cloud, order[0])
    key = images.OURS if order[0] == OURS else images.THEIRS
    cloud.haproxy.servers[key].weight = 7
    with pytest.raises(NotWhole, match=rf"{key}: was active; loaded as active; ready; weight 1, is .* 7"):
        restore(cloud, order[1])
    cloud.haproxy.servers[key].weight = 1
    restore(cloud, order[1])


@pytest.mark.parametrize("order", list(permutations((OURS, OTHER))))
@pytest.mark.parametrize("first", list(permutations((OURS, OTHER))))
def test_who_moves_other_requests_of_the_same_file_is_not_somebody_else(
    cloud: SimulatedCloud, first: tuple[str, str], order: tuple[str, str]
) -> None:
    """Each compares the file without the lines of the other."""
    before = cloud.take()
    for name in first:
        if name == OURS:
            checkout(cloud, OURS)
        else:
            narrowing.narrow(cloud.host(), "other", to="one", exclusive=False)
    for name in order:
        restored = restore(cloud, name)
        assert restored.changed_by_others == []
        assert any(fact.startswith("haproxy file") for fact in restored.facts)
    assert differences(cloud, before) == []


def test_a_line_of_a_stranger_in_the_same_file_is_told_all_the_same(cloud: SimulatedCloud) -> None:
    checkout(cloud, OURS)
    narrowing.narrow(cloud.host(), "other", to="one", exclusive=False)
    machine, path = cloud.machine(images.HAPROXY), "/etc/haproxy/conf.d/other"
    machine.write_text(path, (machine.read_text(path) or "") + "    # mine\n")
    (line,) = restore(cloud, OURS).changed_by_others
    assert line.startswith(f"haproxy file {path}")
