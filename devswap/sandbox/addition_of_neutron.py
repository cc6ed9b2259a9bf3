"""neutron with its servers beside each other, and its agents on Open vSwitch in user space; see additions.py."""

from __future__ import annotations

from devswap.sandbox.addition import Addition, Api, Command
from devswap.sandbox.eras import Member

_NEUTRON = "--config-file /etc/neutron/neutron.conf --config-file "
_ML2 = f"{_NEUTRON}/etc/neutron/plugins/ml2/ml2_conf.ini"
NEUTRON = Addition(
    name="neutron",
    what="neutron-server with ML2 and what runs beside it; Open vSwitch in user space, its agents of layers 2 and 3,"
    " DHCP, metadata and metering, that of SR-IOV without a card, and those of OVN with its maintenance worker"
    " beside its databases; not in 2015",
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
        # databases of OVN, a host of it and who looks after them beside each other; no other server is for OVN
        Member(
            "neutron_ovn",
            "neutron_ovn_controller",
            "neutron_ovn_container",
            "neutron",
            152,
            (
                "openvswitch-switch",
                "ovn-central",
                "ovn-host",
                "neutron-ovn-agent",
                "neutron-ovn-metadata-agent",
                "neutron-ovn-maintenance-worker",
            ),
            devices=("/dev/net/tun",),
        ),
    ),
    packages={
        "current": (
            "libPYTHON",
            "openvswitch-switch",
            "ovn-central",
            "ovn-host",
            "dnsmasq-base",
            "iptables",
            "haproxy",
            "keepalived",
        )
    },
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
        "/etc/neutron/plugins/ml2/ovn_agent.ini",
        "/etc/neutron/plugins/ml2/ml2_conf_ovn.ini",
        "/etc/neutron/neutron_ovn_metadata_agent.ini",
        "/etc/default/ovn-central",
        "/etc/systemd/system/ovn-controller.service.d/chassis.conf",
        "/etc/neutron/rootwrap.conf",
        "/etc/neutron/rootwrap.d/rootwrap.filters",
    ),
    programs={
        "neutron-rpc-server": f"neutron-rpc-server {_ML2}",
        "neutron-periodic-workers": f"neutron-periodic-workers {_ML2}",
        "neutron-ovn-maintenance-worker": (
            f"neutron-ovn-maintenance-worker {_ML2} --config-file /etc/neutron/plugins/ml2/ml2_conf_ovn.ini"
        ),
        **{
            f"neutron-{kind}-agent": f"neutron-{kind}-agent {_NEUTRON}/etc/neutron/{file}_agent.ini"
            for kind, file in {
                "openvswitch": "plugins/ml2/openvswitch",
                "dhcp": "dhcp",
                "l3": "l3",
                "metadata": "metadata",
                "metering": "metering",
                "sriov-nic": "plugins/ml2/sriov",
                "ovn": "plugins/ml2/ovn",
                "ovn-metadata": "neutron_ovn_metadata",
            }.items()
        },
    },
    # routers outlive the agent that made them
    settings={"neutron-l3-agent": "KillMode = process"},
    of_packages=("openvswitch-switch", "ovn-central", "ovn-host", "haproxy", "keepalived"),
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
