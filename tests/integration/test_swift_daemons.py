"""What looks after objects in swift of a sandbox: who has done so is seen in what swift-recon shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.added import give_back, take_over
from tests.integration.cloud import Cloud, wait_until
from tests.integration.objects import Store, at_storage, store_of
from tests.integration.people import Desk

pytestmark = [pytest.mark.sandbox, pytest.mark.added("swift"), pytest.mark.eras("current")]

# What each says once it has gone through all objects.
DONE = {
    "swift-object-expirer": "expired_last_pass",
    "swift-object-reconstructor": "object_reconstruction_last",
    "swift-object-replicator": "object_replication_last",
    "swift-object-updater": "object_updater_last",
}
AUDITOR, EXPIRER = "swift-object-auditor", "swift-object-expirer"
RECON = "/var/cache/swift/object.recon"


@pytest.fixture
def store(cloud: Cloud) -> Iterator[Store]:
    with store_of(cloud) as found:
        yield found


def recon(cloud: Cloud, container: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(cloud.sh(f"cat {RECON} 2>/dev/null || true", on=container) or "{}")
    return said


def wait_for(cloud: Cloud, container: str, service: str, mark: str | None) -> None:
    """Until it has gone through all objects once more, and has or has not named itself."""
    cloud.sh(f"rm -f {RECON}", on=container)
    wait_until(lambda: DONE[service] in recon(cloud, container), f"{service} is through", seconds=120)
    assert recon(cloud, container).get(change_of(service)) == mark


def change_of(service: str) -> str:
    return f"{service.rpartition('-')[2]}_change"


@pytest.mark.parametrize("service", DONE)
def test_all_objects_are_gone_through_by_the_checkout_and_by_production_again(
    cloud: Cloud, desk: Desk, store: Store, service: str
) -> None:
    with at_storage(cloud, desk) as container:
        store.put("first/red")
        wait_for(cloud, container, service, None)
        mark = take_over(cloud, desk, service, container)
        wait_for(cloud, container, service, mark)
        if service == EXPIRER:
            assert_expires(store)
        give_back(desk, service, container)
        wait_for(cloud, container, service, None)


def assert_expires(store: Store) -> None:
    """What has expired is shown until it is deleted."""
    assert store.ask("PUT", "first/expired", "expired", X_Delete_After="1").code == 201
    wait_until(lambda: store.ask("GET", "first").text.split() == ["red"], "it is deleted", seconds=120)


def test_an_object_that_is_not_whole_is_put_aside_by_the_checkout_and_by_production_again(
    cloud: Cloud, desk: Desk, store: Store
) -> None:
    with at_storage(cloud, desk) as container:
        mark = take_over(cloud, desk, AUDITOR, container)
        assert_puts_aside(cloud, store, container)
        assert recon(cloud, container)[change_of(AUDITOR)] == mark
        give_back(desk, AUDITOR, container)
        cloud.sh(f"rm -f {RECON}", on=container)
        assert_puts_aside(cloud, store, container)
        assert change_of(AUDITOR) not in recon(cloud, container)


def assert_puts_aside(cloud: Cloud, store: Store, container: str) -> None:
    aside = "/srv/node/d1/quarantined/objects"
    cloud.sh(f"rm -rf {aside}", on=container)
    store.put("first/red")
    cloud.sh("find /srv/node/d1/objects -name '*.data' -exec truncate --size 1 {} +", on=container)
    listed = f"ls {aside} 2>/dev/null || true"
    wait_until(lambda: cloud.sh(listed, on=container) != "", "it is put aside", seconds=120)
    assert store.ask("GET", "first/red").code == 404
    store.put("first/red")
