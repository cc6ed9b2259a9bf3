"""Where devswap's own server takes the place of the script that production serves its application with.

Projects give up their own servers (heat did in 2026): production of an earlier release is a script, and a checkout of a
later one has but the application. It is served as one that Apache runs in production: see serve.py.

They give up the scripts that uWSGI loads, too (nova and keystone did in 2025). Production's own uWSGI goes on then, and
loads the module's file instead.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from devswap import plan, unit_environment
from devswap.configuration import Configuration
from devswap.deployment import Deployment
from devswap.errors import DevswapError

_ANY = "0.0.0.0"  # noqa: S104 - where the servers of these projects listen by themselves


def address(deployment: Deployment, scripts: Collection[str], checkout: Path) -> str:
    """HOST:PORT where the application of `checkout` is to be served; empty where it brings its script, or nothing.

    Where uWSGI serves it, that is uWSGI's. Empty, too, where the catalogue does not know where its own server would
    have listened. `scripts` are those of the overlay. Raises DevswapError for one that a server of its own serves with
    TLS.
    """
    service, web = deployment.service, deployment.service.web
    if deployment.hosted or web is None or not plan.missing_scripts(deployment, scripts, None):
        return ""
    if not web.module or not (checkout / plan.module_file(service)).is_file():
        return ""
    if deployment.uwsgi:
        return next(iter(deployment.addresses), "").partition("://")[2]
    if not (web.group and web.port):
        return ""
    if any(url.startswith("https:") for url in deployment.addresses):
        raise DevswapError(
            f"the checkout has no server of its own for {service.name}, and devswap's knows no TLS",
            hint="rebase the change on what production runs; or have HAProxy do the TLS, as it does for the others",
        )
    environment = unit_environment.of(deployment.machine, deployment.unit)
    options = Configuration.of(deployment.machine, deployment.config_files, environment)
    host = options.get(web.group, web.host) or _ANY
    port = options.get(web.group, "bind_port") or str(web.port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def told(deployment: Deployment, where: str) -> str:
    web = deployment.service.web
    assert web is not None  # noqa: S101 - it is served
    if deployment.uwsgi:
        return f"the checkout has no script for uWSGI any more: {web.module} is loaded in its place"
    return (
        f"the checkout has no script for {deployment.service.name} any more: {web.module} is served on {where} by "
        "devswap's own server, one request at a time whatever --workers says"
    )
