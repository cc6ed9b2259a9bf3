"""nova-compute names no database: it leaves its record to others."""

from __future__ import annotations

import pytest

from devswap.errors import DevswapError
from devswap.steps.values import PutBackValues
from tests.simulated import images, nova
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.unit.nova.novas import CONDUCTOR, checkout, restore, steps, versions


def test_the_record_of_one_without_a_database_is_put_back_as_well(cloud: SimulatedCloud) -> None:
    nova.add_compute(cloud)
    before = cloud.take()
    checkout(cloud, "newer", nova.COMPUTE)
    (found,) = steps(cloud, PutBackValues)
    assert isinstance(found, PutBackValues)
    assert {source.on for source in found.sources} == {f"lxc:{nova.MACHINE}"}
    assert versions(cloud) == ["1\t72", "2\t72", "3\t74"]
    restore(cloud, nova.COMPUTE)
    assert differences(cloud, before) == []
    assert cloud.machine(nova.COMPUTE_MACHINE).init.is_active("nova-compute.service")


def test_it_shares_what_is_put_back_with_those_that_have_one(cloud: SimulatedCloud) -> None:
    nova.add_compute(cloud)
    before = cloud.take()
    checkout(cloud, "newer", nova.COMPUTE)
    checkout(cloud, "migrates", CONDUCTOR)
    restore(cloud, nova.COMPUTE)
    restore(cloud, CONDUCTOR)
    assert differences(cloud, before) == []


def test_it_is_refused_where_nobody_names_its_database(cloud: SimulatedCloud) -> None:
    nova.add_compute(cloud)
    other = cloud.machine(nova.COMPUTE_MACHINE)
    images.put(
        other.files,
        f"{nova.VENV}/etc/nova/nova.conf",
        "[DEFAULT]\ntransport_url = rabbit://other\ncompute_driver = fake.FakeDriver\n",
    )
    before = cloud.take()
    with pytest.raises(DevswapError, match="no unit of nova on this host names its database"):
        checkout(cloud, "newer", nova.COMPUTE)
    assert differences(cloud, before) == []


def test_one_that_needs_root_is_refused(cloud: SimulatedCloud) -> None:
    nova.add_compute(cloud, "libvirt.LibvirtDriver")
    before = cloud.take()
    with pytest.raises(DevswapError, match="cannot take nova-compute over yet: nobody has tried yet"):
        checkout(cloud, "newer", nova.COMPUTE)
    assert differences(cloud, before) == []
