"""nova with a compute service that pretends; see additions.py."""

from __future__ import annotations

from devswap.sandbox.addition import Addition, Api, Command
from devswap.sandbox.eras import Member

# Of the pages by which a browser shows consoles there are none
_CONSOLES = "/var/lib/nova/consoles"
NOVA = Addition(
    name="nova",
    what="with glance and placement: nova-api, -conductor, -scheduler, proxies of consoles and a -compute that"
    " pretends, no network; not in 2015",
    members=(
        Member(
            "nova_api",
            "nova_api_os_compute",
            "nova_api_container",
            "nova",
            142,
            (
                "nova-api-os-compute",
                "nova-api-metadata",
                "nova-conductor",
                "nova-scheduler",
                "nova-novncproxy",
                "nova-spicehtml5proxy",
                "nova-serialproxy",
            ),
        ),
        Member("nova_compute", "nova_compute", "nova_compute_container", "nova", 143, ("nova-compute",)),
    ),
    packages={"current": ("libPYTHON",)},
    venvs={"current": ("nova", "uwsgi")},
    # the second: what nova-compute finds that the database knows it by, when its container was made again
    configs=("/etc/nova/nova.conf", "/etc/nova/compute_id"),
    folders=("/var/lib/nova/instances", _CONSOLES),
    programs={f"nova-{kind}proxy": f"nova-{kind}proxy --web {_CONSOLES}" for kind in ("novnc", "spicehtml5")},
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
        Api("nova-novncproxy", 6080, "nova_novnc_console"),
        Api("nova-spicehtml5proxy", 6082, "nova_spice_console"),
        Api("nova-serialproxy", 6083, "nova_serial_console"),
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
