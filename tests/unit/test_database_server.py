"""With several clouds on a host, a database is never mistaken for another of the same name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devswap.database_source import Source
from devswap.errors import DevswapError, MachineGone
from tests.simulated import images
from tests.simulated.cloud import SimulatedCloud

OF_A_MACHINE_THAT_IS_GONE = Source(
    on="lxc:gone",
    unit="heat-engine.service",
    config_files=("/etc/heat/heat.conf",),
    group="database",
    option="connection",
    client=f"lxc:{images.GALERA}",
    name="heat",
    address=f"{images.DATABASE_HOST}:3306",
    server="galera",
)


def test_the_servers_own_account_reaches_the_database_of_a_machine_that_is_gone(tmp_path: Path) -> None:
    assert OF_A_MACHINE_THAT_IS_GONE.open(SimulatedCloud(tmp_path).at).server() == "galera"


def test_a_database_of_the_same_name_on_another_server_is_left_alone(tmp_path: Path) -> None:
    other = replace(OF_A_MACHINE_THAT_IS_GONE, server="the-other-galera")
    with pytest.raises(DevswapError, match="has another one"):
        other.open(SimulatedCloud(tmp_path).at)


@pytest.mark.parametrize(
    ("server", "address", "went_along"),
    [
        ("galera", f"{images.DATABASE_HOST}:3306", False),
        ("gone-with-all", f"{images.DATABASE_HOST}:3306", True),
        ("gone_with_all", f"{images.DATABASE_HOST}:3306", True),
        ("galera", "127.0.0.1:3306", True),
        ("galera", "", True),
    ],
)
def test_tools_that_went_with_a_machine_do_not_take_the_database_along(
    tmp_path: Path, server: str, address: str, *, went_along: bool
) -> None:
    left = replace(OF_A_MACHINE_THAT_IS_GONE, client="lxc:gone_with_all", server=server, address=address)
    with pytest.raises(DevswapError, match="gone_with_all") as said:
        left.open(SimulatedCloud(tmp_path).at)
    assert isinstance(said.value, MachineGone) == went_along
