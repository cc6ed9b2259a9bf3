"""Which broker a service has, as its configuration says."""

from __future__ import annotations

from devswap.configuration import Configuration


def of(options: Configuration) -> frozenset[str] | None:
    """The URL of each of its servers, with everything in it: two clouds on one host have other passwords at least.

    Without an order: OpenStack-Ansible gave each container another in its first years, to share the load out.
    """
    url = options.get("DEFAULT", "transport_url")
    if not url:
        return None
    scheme, _, rest = url.partition("://")
    servers, slash, host = rest.partition("/")
    return frozenset(f"{scheme}://{server}{slash}{host}" for server in servers.split(","))
