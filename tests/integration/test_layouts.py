"""Production laid out as nobody of OpenStack-Ansible does it: devswap looks, and trusts no name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devswap.sandbox.changes import HARMLESS, MIGRATION, NEW_REVISION
from tests.integration import cloud as clouds
from tests.integration.cloud import Cloud
from tests.integration.people import Desk

pytestmark = pytest.mark.sandbox

_MOVE = r"""
set -e
mkdir -p /srv/keep /srv/engine
cp -a /etc/systemd/system/heat-engine.service* /srv/keep/
cp -a /etc/heat/heat.conf /srv/engine/main.conf
printf '[DEFAULT]\nnum_engine_workers = 2\n' >/srv/engine/more.conf
script=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/heat-engine.service | cut -d' ' -f1)
rm -r /etc/systemd/system/heat-engine.service*
cat >/lib/systemd/system/heat-engine.service <<UNIT
[Unit]
Description=Engine
[Service]
User=heat
RuntimeDirectory=engine
EnvironmentFile=-/srv/engine/environment
ExecStart=$(dirname $script)/python3 -s $script --config-file=/srv/engine/main.conf --config-file /srv/engine/more.conf
Restart=always
[Install]
WantedBy=multi-user.target
UNIT
echo 'OS_DEFAULT__MAX_STACKS_PER_TENANT=500' >/srv/engine/environment
systemctl daemon-reload
systemctl restart heat-engine
"""
_MOVE_BACK = r"""
systemctl stop heat-engine
rm -f /lib/systemd/system/heat-engine.service
cp -a /srv/keep/heat-engine.service* /etc/systemd/system/
rm -rf /srv/keep /srv/engine
systemctl daemon-reload
systemctl start heat-engine
"""


@pytest.fixture
def moved(cloud: Cloud) -> Iterator[None]:
    """Packaged by a distribution: unit in /lib, two configuration files elsewhere, the interpreter named."""
    before = cloud.look()
    cloud.sh(_MOVE)
    cloud.wait_for_production()
    yield
    cloud.sh(_MOVE_BACK)
    cloud.wait_for_production()
    assert clouds.differences(before, cloud.look()) == []


@pytest.mark.eras("2015")
@pytest.mark.usefixtures("moved")
def test_a_unit_of_the_distribution_with_files_elsewhere_is_taken_over_and_given_back(cloud: Cloud, desk: Desk) -> None:
    before = cloud.look()
    (row,) = [
        row for row in desk.devswap("list").stdout.splitlines() if row.startswith("heat-engine ") and cloud.heat in row
    ]
    assert "active" in row
    desk.take(HARMLESS)
    assert cloud.create_stack().word.startswith(cloud.change(HARMLESS).patchsets[1].shows)
    running = cloud.show("ExecStart", "EnvironmentFiles", "RuntimeDirectory")
    assert "--config-file=/srv/engine/main.conf --config-file /srv/engine/more.conf" in running["ExecStart"]
    assert running["RuntimeDirectory"] == "engine"
    desk.take(MIGRATION)
    assert NEW_REVISION in cloud.schema()
    assert "facts identical" in desk.restore().stdout
    assert clouds.differences(before, cloud.look()) == []
