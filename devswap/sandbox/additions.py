"""What a sandbox can have besides keystone and heat, one by one: `devswap sandbox up --with glance`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from devswap.errors import UsageError
from devswap.sandbox.addition import Addition, Api, Command
from devswap.sandbox.addition_of_horizon import HORIZON
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

_NEUTRON = "--config-file /etc/neutron/neutron.conf --config-file "
_ML2 = f"{_NEUTRON}/etc/neutron/plugins/ml2/ml2_conf.ini"
NEUTRON = Addition(
    name="neutron",
    what="neutron-server with ML2 and what runs beside it; Open vSwitch in user space, its agents of layers 2 and 3,"
    " DHCP, metadata and metering, and that of SR-IOV without a card; not in 2015",
    members=(
        Member(
            "neutron_server",
            "neutron_server",
            "neutron_server_container",
            "neutron",
            150,
            ("neutron-server", "neutron-rpc-server", "neutron-periodic-workers"),
        ),
        Member(
            "neutron_agents",
            "neutron_agent",
            "neutron_agents_container",
            "neutron",
            151,
            (
                "openvswitch-switch",
                "neutron-openvswitch-agent",
                "neutron-dhcp-agent",
                "neutron-l3-agent",
                "neutron-metadata-agent",
                "neutron-metering-agent",
                "neutron-sriov-nic-agent",
            ),
            devices=("/dev/net/tun",),
        ),
    ),
    packages={"current": ("libPYTHON", "openvswitch-switch", "dnsmasq-base", "iptables", "haproxy", "keepalived")},
    venvs={"current": ("neutron", "uwsgi")},
    configs=(
        "/etc/neutron/neutron.conf",
        "/etc/neutron/plugins/ml2/ml2_conf.ini",
        "/etc/neutron/plugins/ml2/openvswitch_agent.ini",
        "/etc/neutron/dhcp_agent.ini",
        "/etc/neutron/l3_agent.ini",
        "/etc/neutron/metadata_agent.ini",
        "/etc/neutron/metering_agent.ini",
        "/etc/neutron/plugins/ml2/sriov_agent.ini",
        "/etc/neutron/rootwrap.conf",
        "/etc/neutron/rootwrap.d/rootwrap.filters",
    ),
    programs={
        "neutron-rpc-server": f"neutron-rpc-server {_ML2}",
        "neutron-periodic-workers": f"neutron-periodic-workers {_ML2}",
        **{
            f"neutron-{kind}-agent": f"neutron-{kind}-agent {_NEUTRON}/etc/neutron/{file}_agent.ini"
            for kind, file in {
                "openvswitch": "plugins/ml2/openvswitch",
                "dhcp": "dhcp",
                "l3": "l3",
                "metadata": "metadata",
                "metering": "metering",
                "sriov-nic": "plugins/ml2/sriov",
            }.items()
        },
    },
    # routers outlive the agent that made them
    settings={"neutron-l3-agent": "KillMode = process"},
    of_packages=("openvswitch-switch", "haproxy", "keepalived"),
    as_root=("neutron-rootwrap", "neutron-rootwrap-daemon", "privsep-helper"),
    queue=True,
    databases={"neutron": "neutron"},
    prepare=(Command(("neutron-db-manage", *_ML2.split(), "upgrade", "heads")),),
    apis=(
        Api(
            "neutron-server",
            9696,
            "neutron_server",
            module="neutron.wsgi.api",
            arguments=_ML2,
            kind="network",
            description="OpenStack Networking",
            asked="/v2.0/agents?alive=true",
            says="neutron-l3-agent",
        ),
    ),
)

NOVA = Addition(
    name="nova",
    what="with glance and placement: nova-api, -conductor, -scheduler and a -compute that pretends, no network;"
    " not in 2015",
    members=(
        Member(
            "nova_api",
            "nova_api_os_compute",
            "nova_api_container",
            "nova",
            142,
            ("nova-api-os-compute", "nova-api-metadata", "nova-conductor", "nova-scheduler"),
        ),
        Member("nova_compute", "nova_compute", "nova_compute_container", "nova", 143, ("nova-compute",)),
    ),
    packages={"current": ("libPYTHON",)},
    venvs={"current": ("nova", "uwsgi")},
    # the second: what nova-compute finds that the database knows it by, when its container was made again
    configs=("/etc/nova/nova.conf", "/etc/nova/compute_id"),
    folders=("/var/lib/nova/instances",),
    as_root=("nova-rootwrap",),
    needs=("glance", "placement"),
    queue=True,
    databases={"nova_api": "nova_api", "nova_cell0": "nova", "nova": "nova"},
    prepare=(
        Command(("nova-manage", "api_db", "sync")),
        Command(("nova-manage", "cell_v2", "map_cell0")),
        Command(("nova-manage", "cell_v2", "create_cell", "--name=cell1"), ok=(0, 2)),  # 2: there is one
        Command(("nova-manage", "db", "sync")),
    ),
    apis=(
        Api(
            "nova-api-os-compute",
            8774,
            "nova_api_os_compute",
            module="nova.wsgi.osapi_compute",
            kind="compute",
            description="OpenStack Compute Service",
            path="/v2.1",
            asked="/os-services?binary=nova-compute",
            says='"state": "up"',
        ),
        Api("nova-api-metadata", 8775, "nova_api_metadata", module="nova.wsgi.metadata"),
        # without which nova can neither show nor delete a server, though it has no network
        Api(
            "",
            9696,
            "neutron_server",
            kind="network",
            service="neutron",
            description="OpenStack Networking, of which there is none",
            fragment="no_network",
        ),
    ),
    complete=(Command(("nova-manage", "cell_v2", "discover_hosts")),),
)

CINDER = Addition(
    name="cinder",
    what="cinder-api, -scheduler and a -volume whose backend pretends; not in 2015",
    members=(
        Member("cinder_api", "cinder_api", "cinder_api_container", "cinder", 144, ("cinder-api", "cinder-scheduler")),
        Member("cinder_volumes", "cinder_volume", "cinder_volumes_container", "cinder", 145, ("cinder-volume",)),
    ),
    packages={"current": ("libPYTHON",)},
    venvs={"current": ("cinder", "uwsgi")},
    configs=("/etc/cinder/cinder.conf",),
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
