"""What `devswap sandbox up`, `down` and `status` do; each returns what came of it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network
from pathlib import Path

from devswap.errors import DevswapError
from devswap.sandbox import network, repository
from devswap.sandbox.added import fill_added, wait_until_added_serve
from devswap.sandbox.additions import grown
from devswap.sandbox.addresses import free_bridge, free_range, interface_names, routed_networks
from devswap.sandbox.base import Workshop
from devswap.sandbox.building import build_added, build_layers
from devswap.sandbox.cloud import Cloud
from devswap.sandbox.containers import container_root, containers_on, existing_containers, running_containers
from devswap.sandbox.eras import Era, era_named
from devswap.sandbox.host import check_host, host_locked, prepare_host, release_host
from devswap.sandbox.layers import Cache
from devswap.sandbox.names import free_prefix
from devswap.sandbox.openstack import fill_cloud, wait_until_serving
from devswap.sandbox.record import Record, Shelf, new_record, with_additions
from devswap.sandbox.results import ContainerStatus, Down, Status, Up
from devswap.sandbox.sources import host_distribution

Say = Callable[[str], None]

CACHE = Path(os.environ.get("DEVSWAP_SANDBOX_CACHE", "/var/cache/devswap/sandbox"))


def shelf_path() -> Path:
    return Path(os.environ.get("DEVSWAP_STATE_DIR", "/var/lib/devswap")) / "sandbox"


def up(
    *, era: str = "current", additions: Sequence[str] = (), prefix: str = "aio1", cache: Path = CACHE, say: Say
) -> Up:
    """Build, start or continue the sandbox of an era; when everything runs already, only look and say so.

    It keeps the `additions` it has, and gets those it lacks. Raises UsageError for one that it cannot have.
    """
    began = time.monotonic()
    chosen = era_named(era)
    grown(chosen, additions)  # an impossible one is said before anything is done
    check_host()
    shelf, root = Shelf(shelf_path()), container_root()
    with shelf.locked():
        with host_locked():
            record = with_additions(shelf.read(chosen) or _new(shelf, chosen, prefix), additions)
            shelf.write(record)
            prepare_host()
            # before the long work: whoever looks for a free prefix, range or bridge next sees that these are taken
            network.bring_up(record)
        cloud = Cloud(shelf, record, root)
        cloud.forget_missing()
        complete = cloud.is_done("serving")
        workshop = Workshop(chosen, host_distribution(), Cache(cache), say)
        if not complete:
            _make(cloud, workshop, say)
        started = cloud.start()
        if started:
            say(f"started {len(started)} containers")
        with ThreadPoolExecutor(1) as beside:
            repositories = beside.submit(serve_repositories, cloud, cache, say)
            fill_cloud(cloud, say)
            fill_added(cloud, workshop, say)
            repositories.result()
        if not complete or started:
            say("waiting for the cloud to answer")
            wait_until_serving(cloud)
            wait_until_added_serve(cloud)
            cloud.mark_done("serving")
        return _up(cloud, already=complete and not started, seconds=time.monotonic() - began)


def _new(shelf: Shelf, era: Era, prefix: str) -> Record:
    others = shelf.records()
    taken = [*existing_containers(), *(record.name(member) for record in others for member in record.era.members)]
    record = new_record(
        era,
        prefix=free_prefix(taken, prefix, reserved=network.taken_prefixes()),
        bridge=free_bridge([*interface_names(), *(record.bridge for record in others)]),
        network=free_range([*routed_networks(), *(IPv4Network(record.network) for record in others)]),
    )
    return shelf.write(record)


def _make(cloud: Cloud, workshop: Workshop, say: Say) -> None:
    era = cloud.record.era
    with workshop.cache.locked(say):
        layers = build_layers(workshop) | build_added(workshop, cloud.record.added)
    say(f"containers: {len(era.members)} named {cloud.record.prefix}{era.separator}… on {cloud.record.network}")
    cloud.make(workshop, layers)
    cloud.write_inventory()


def serve_repositories(cloud: Cloud, cache: Path, say: Say) -> None:
    """Into the running git server, so that a sandbox that is up gets the newest of them too."""
    root = cloud.of("git").live_root() / "srv/git"
    repository.build(root, cache=cache, additions=cloud.record.added, say=say)


def _up(cloud: Cloud, *, already: bool, seconds: float) -> Up:
    record = cloud.record
    utility = cloud.of("utility").name
    return Up(
        era=record.era_name,
        prefix=record.prefix,
        vip=record.vip,
        containers={record.name(member): record.address(member) for member in record.era.members},
        credentials=f"/root/openrc in {utility}",
        already=already,
        seconds=seconds,
        memory=sum(cloud.container(member).memory_bytes() for member in record.era.members),
        next_commands=(
            "devswap list",
            f"lxc-attach -n {utility} -- openstack --os-cloud default stack list",
        ),
    )


def down(*, era: str = "current", purge: bool = False, cache: Path = CACHE, say: Say) -> Down:
    """Take an era's sandbox away: nothing stays but the cache, and with `purge` not even that."""
    check_host()
    shelf, chosen = Shelf(shelf_path()), era_named(era)
    removed: tuple[str, ...] = ()
    with shelf.locked():
        record = shelf.read(chosen)
        if record:
            cloud = Cloud(shelf, record, container_root())
            removed = tuple(record.name(member) for member in record.era.members)
            say(f"removing {len(removed)} containers")
            cloud.remove()
        with host_locked():
            if record:
                network.take_down(record)
                shutil.rmtree(shelf.folder(chosen))
            release_host()
        if purge:
            _purge(cache, say)
    return Down(chosen.name, removed, purge)


def _purge(cache: Path, say: Say) -> None:
    above = containers_on(cache, container_root())
    if above:
        raise DevswapError(
            f"cannot remove the cache {cache}: {len(above)} containers lie on it, {above[0]} is one",
            hint="devswap sandbox status  # shows which sandboxes there still are",
        )
    if cache.exists():
        say(f"removing the cache {cache}")
        shutil.rmtree(cache)


def status(*, era: str | None = None) -> list[Status]:
    """The sandboxes of this host, or of one era; an empty list when there is none."""
    running = running_containers() if shutil.which("lxc-ls") else set()
    return [_status(record, running) for record in Shelf(shelf_path()).records() if era in (None, record.era_name)]


def _status(record: Record, running: set[str]) -> Status:
    return Status(
        era=record.era_name,
        prefix=record.prefix,
        network=record.network,
        bridge=record.bridge,
        complete="serving" in record.done,
        containers=tuple(
            ContainerStatus(record.name(member), record.address(member), record.name(member) in running)
            for member in record.era.members
        ),
    )
