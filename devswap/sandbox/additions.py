"""What a sandbox can have besides keystone and heat, one by one: `devswap sandbox up --with glance`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from devswap.errors import UsageError
from devswap.sandbox.addition import Addition, Api, Command
from devswap.sandbox.addition_of_horizon import HORIZON
from devswap.sandbox.addition_of_neutron import NEUTRON
from devswap.sandbox.addition_of_nova import NOVA
from devswap.sandbox.addition_of_swift import SWIFT
from devswap.sandbox.eras import Era, Member

GLANCE = Addition(
    name="glance",
    what="glance-api on a file store",
    members=(Member("glance_api", "glance_api", "glance_container", "glance", 140, ("glance-api",)),),
    packages={"current": ("libPYTHON",), "2015": ()},
    venvs={"current": ("glance", "uwsgi"), "2015": ("glance",)},
    configs=("/etc/glance/glance-api.conf",),
    folders=tuple(f"/var/lib/glance/{name}" for name in ("images", "os_glance_staging_store", "os_glance_tasks_store")),
    databases={"glance": "glance"},
    prepare=(Command(("glance-manage", "db", "sync")),),
    apis=(
        Api(
            "glance-api",
            9292,
            "glance_api",
            module="glance.wsgi.api",
            kind="image",
            description="OpenStack Image Service",
            asked="/v2/images",
        ),
    ),
)
PLACEMENT = Addition(
    name="placement",
    what="placement-api; not in 2015",
    members=(Member("placement", "placement_api", "placement_container", "placement", 141, ("placement-api",)),),
    packages={"current": ("libPYTHON",)},
    venvs={"current": ("placement", "uwsgi")},
    configs=("/etc/placement/placement.conf",),
    databases={"placement": "placement"},
    prepare=(Command(("placement-manage", "db", "sync")),),
    apis=(
        Api(
            "placement-api",
            8780,
            "placement",
            module="placement.wsgi.api",
            kind="placement",
            description="Placement Service",
            asked="/resource_providers",
        ),
    ),
)

CINDER = Addition(
    name="cinder",
    what="cinder-api, -scheduler, -backup and a -volume whose backend pretends; not in 2015",
    members=(
        Member("cinder_api", "cinder_api", "cinder_api_container", "cinder", 144, ("cinder-api", "cinder-scheduler")),
        Member(
            "cinder_volumes",
            "cinder_volume",
            "cinder_volumes_container",
            "cinder",
            145,
            ("cinder-volume", "cinder-backup"),
        ),
    ),
    packages={"current": ("libPYTHON",)},
    venvs={"current": ("cinder", "uwsgi")},
    configs=("/etc/cinder/cinder.conf", "/etc/cinder/rootwrap.conf"),
    folders=("/var/lib/cinder/backup",),
    as_root=("cinder-rootwrap",),
    queue=True,
    databases={"cinder": "cinder"},
    prepare=(Command(("cinder-manage", "db", "sync")),),
    apis=(
        Api(
            "cinder-api",
            8776,
            "cinder_api",
            module="cinder.wsgi.api",
            kind="block-storage",
            description="Cinder Volume Service",
            path="/v3",
            asked="/os-services?binary=cinder-volume",
            says='"state": "up"',
        ),
    ),
)

CEILOMETER = Addition(
    name="ceilometer",
    what="a central agent that polls keystone, and a notification agent that publishes to a file; not in 2015",
    members=(
        Member(
            "ceilometer_central",
            "ceilometer_agent_central",
            "ceilometer_central_container",
            "ceilometer",
            146,
            ("ceilometer-agent-notification", "ceilometer-polling"),
        ),
    ),
    packages={"current": ()},
    venvs={"current": ("ceilometer",)},
    configs=(
        "/etc/ceilometer/ceilometer.conf",
        "/etc/ceilometer/pipeline.yaml",
        "/etc/ceilometer/polling.yaml",
        "/etc/ceilometer/pollsters.d/identity.yaml",
    ),
    queue=True,
)

ADDITIONS: Mapping[str, Addition] = {
    addition.name: addition for addition in (GLANCE, PLACEMENT, NEUTRON, NOVA, CINDER, CEILOMETER, SWIFT, HORIZON)
}
"""What one of them needs stands before it, and neutron before nova, which has a stand-in for it."""


def additions_of(era: str) -> tuple[str, ...]:
    """The names of all that a sandbox of this era can have."""
    return tuple(name for name, addition in ADDITIONS.items() if era in addition.venvs)


def additions_named(names: Collection[str]) -> tuple[Addition, ...]:
    """These and what they need, in the order in which they are built.

    Raises UsageError for what there is no recipe for.
    """
    if unknown := [name for name in names if name not in ADDITIONS]:
        known = ", ".join(ADDITIONS)
        raise UsageError(f"the sandbox cannot have {unknown[0]}", hint=f"it can have: {known}")
    wanted = set(names)
    for addition in reversed(list(ADDITIONS.values())):
        if addition.name in wanted:
            wanted.update(addition.needs)
    return tuple(addition for addition in ADDITIONS.values() if addition.name in wanted)


def grown(era: Era, names: Collection[str]) -> Era:
    """The layout with these additions. Raises UsageError for what it cannot have."""
    wanted = additions_named(names)
    for addition in sorted(wanted, key=lambda addition: addition.name not in names):
        if era.name not in addition.venvs:
            has = ", ".join(addition.venvs)
            raise UsageError(f"the sandbox of {era.name} cannot have {addition.name}", hint=f"that of {has} can")
    for addition in wanted:
        era = replace(
            era,
            members=(*era.members, *addition.members),
            packages={**era.packages, addition.name: addition.packages[era.name]},
            venvs={**era.venvs, addition.name: addition.venvs[era.name]},
        )
    return era
