"""What the fingerprint of a deployment looks at."""

from __future__ import annotations

from devswap import databases
from devswap.deployment import Deployment
from devswap.discovery import sites
from devswap.fingerprint import Watched
from devswap.host import Host
from devswap.probe import Probe
from devswap.probe_queue import QueueProbe
from devswap.probe_web import WebProbe


def watch(host: Host, deployment: Deployment) -> Watched:
    """What the fingerprint of this deployment looks at."""
    service = deployment.service
    told, sources = deployment.uwsgi, databases.known_sources_of(host, deployment)
    return Watched(
        on=deployment.machine.address,
        service=service.name,
        unit=deployment.unit,
        folders=tuple(dict.fromkeys(path.rpartition("/")[0] for path in service.config)),
        site_folders=deployment.interpreter.site_folders,
        database=sources[0] if sources else None,
        others=sources[1:],
        sqlite=databases.files_of(deployment),
        probe=_probe(deployment),
        front=deployment.front.unit if deployment.front else "",
        front_addresses=deployment.front.addresses if deployment.front else (),
        files=(*(told.files if told else ()), *sites.files(deployment.machine)) if service.web else (),
    )


def _probe(deployment: Deployment) -> Probe | None:
    """How this deployment is asked whether it serves; None where only its unit can tell."""
    service, python = deployment.service, deployment.interpreter.path
    if service.queue:
        topic, backends = service.queue.topic, service.queue.backends
        return QueueProbe(deployment.unit, topic, python, deployment.user, deployment.config_files, backends)
    if service.web and deployment.addresses:
        return WebProbe(deployment.unit, python, deployment.user, deployment.addresses, service.web.path)
    return None
