"""swift with four rings, behind keystone; see additions.py."""

from __future__ import annotations

from devswap.sandbox.addition import Addition, Api, Command
from devswap.sandbox.eras import Member

_SERVERS = ("proxy", "account", "container", "object")
# What looks after objects; all but the last share the configuration of their server.
_DAEMONS = ("auditor", "replicator", "reconstructor", "updater", "expirer")
# What looks after accounts and containers, in the same way.
_OF_DATABASES = {
    "account": ("auditor", "reaper", "replicator"),
    "container": ("auditor", "replicator", "updater"),
}
_OBJECTS = "/etc/swift/object-server"


_RINGS = {"account": 6202, "container": 6201, "object": 6200, "object-1": 6200}


def _ring(name: str, port: int) -> tuple[Command, ...]:
    """Of one copy on one device; what makes it gives the same wherever it is made."""
    builder = ("swift-ring-builder", f"/etc/swift/{name}.builder")
    device = f"r1z1-$swift_obj_address:{port}/d1"
    steps = (("create", "4", "1", "1"), ("add", device, "100"), ("rebalance",))
    return tuple(Command((*builder, *step), everywhere=True) for step in steps)


SWIFT = Addition(
    name="swift",
    what="a proxy, servers of accounts, containers and objects on a folder, and what looks after those; not in 2015",
    members=(
        Member("swift_proxy", "swift_proxy", "swift_proxy_container", "swift", 147, ("swift-proxy-server",)),
        Member(
            "swift_obj",
            "swift_obj",
            "swift_obj_container",
            "swift",
            148,
            (
                "swift-account-server",
                "swift-container-server",
                "swift-object-server",
                # by the updater of containers the account of what shall expire comes to be
                *(f"swift-{kind}-{daemon}" for kind, daemons in _OF_DATABASES.items() for daemon in daemons),
                *(f"swift-object-{daemon}" for daemon in _DAEMONS),
            ),
        ),
    ),
    packages={"current": ()},
    venvs={"current": ("swift",)},
    configs=(
        "/etc/swift/swift.conf",
        *(f"/etc/swift/{kind}-server/{kind}-server.conf" for kind in _SERVERS),
        f"{_OBJECTS}/object-expirer.conf",
    ),
    # the first, because it makes the rings there itself
    folders=("/etc/swift", "/srv/node/d1", "/var/cache/swift"),
    programs={
        **{
            f"swift-{kind}-server": f"swift-{kind}-server /etc/swift/{kind}-server/{kind}-server.conf"
            for kind in _SERVERS
        },
        **{
            f"swift-{kind}-{daemon}": f"swift-{kind}-{daemon} /etc/swift/{kind}-server/{kind}-server.conf"
            for kind, daemons in _OF_DATABASES.items()
            for daemon in daemons
        },
        **{
            f"swift-object-{daemon}": f"swift-object-{daemon} {_OBJECTS}/"
            f"object-{'expirer' if daemon == 'expirer' else 'server'}.conf"
            for daemon in _DAEMONS
        },
    },
    prepare=tuple(command for ring in _RINGS.items() for command in _ring(*ring)),
    apis=(
        Api(
            "swift-proxy-server",
            8080,
            "swift_proxy",
            kind="object-store",
            description="Object Storage Service",
            path="/v1/AUTH_%(tenant_id)s",
            asked="?format=json",
            says="[",
        ),
    ),
)
