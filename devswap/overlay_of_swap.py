"""The overlay of one swap: asked for as its deployment and the settings have it, built under its journal, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from devswap import constraints, import_check, requirements, transaction
from devswap.deployment import Deployment
from devswap.discovery import repository
from devswap.host import Host
from devswap.journal import Journal, make_private
from devswap.machine import Machine
from devswap.overlay import Overlay, Request
from devswap.package_index import IndexPolicy
from devswap.slot import Mount as Mounting
from devswap.slot import Slot
from devswap.source import Checkout
from devswap.sources import Sources
from devswap.steps.mount import Mount, MountPassing


def request(host: Host, deployment: Deployment, sources: Sources, *, install: bool = False) -> Request:
    """Which overlay `sources` want over `deployment`; with `install` the checkout goes into it, as it is now."""
    checkout = sources.checkout
    content = [*sources.identity, host.now() if sources.dirty else ""]
    return Request(
        interpreter=deployment.interpreter,
        user=deployment.user,
        group=deployment.group,
        distribution=deployment.service.distribution,
        package=deployment.service.package,
        source=checkout.path,
        version=checkout.version,
        constraints=_constraints(host, deployment, checkout),
        policy=IndexPolicy(host.settings.index_policy),
        private_links=host.settings.private_links or repository.private_links(deployment.machine, host.running()),
        environment=deployment.environment,
        libraries=tuple(chosen.library for chosen in sources.libraries),
        installed=_digest(*content) if install else "",
    )


def _constraints(host: Host, deployment: Deployment, checkout: Checkout) -> str:
    context = constraints.Context(
        branch=checkout.branch,
        is_of_productions_series=_series(checkout.version) == _series(_production_version(deployment)),
        cloud=lambda: repository.constraints(deployment.machine, host.running()),
        home=host.home(),
        kept=cache(host) / "constraints",
        say=host.say,
    )
    return constraints.chosen(host.settings.constraints, context)


def _production_version(deployment: Deployment) -> str:
    name = canonicalize_name(deployment.service.distribution)
    for folder in deployment.interpreter.site_folders:
        if found := requirements.packages(deployment.machine.names(folder)).get(name):
            return found.version
    return ""


def _series(version: str) -> tuple[int, ...] | None:
    """Releases of a stable branch differ in the third number only; master's are a minor version ahead."""
    try:
        return Version(version).release[:2]
    except InvalidVersion:
        return None


def build(
    host: Host,
    deployment: Deployment,
    journal: Journal,
    wanted: Request,
    place: Slot,
    make: Callable[..., Overlay],
) -> Overlay:
    """What `make` (overlay.prepare) gives; what it mounts is in the journal as long as it is mounted."""

    @contextmanager
    def journaled(machine: Machine, mounts: Sequence[Mounting]) -> Iterator[None]:  # noqa: ARG001
        steps = mount_steps(deployment, mounts)
        targets = {step.target for step in steps}
        try:
            transaction.apply(steps, journal, host.cloud(journal))
            yield
        finally:
            mine = lambda step: isinstance(step, Mount) and step.target in targets  # noqa: E731
            transaction.withdraw(journal, host.cloud(journal), mine)

    return make(
        deployment.machine,
        wanted,
        place,
        cache=cache(host),
        unit=f"devswap-{deployment.service.name}-overlay.service",
        say=host.say,
        mounting=journaled,
    )


def mount_steps(deployment: Deployment, wanted: Sequence[Mounting]) -> list[Mount]:
    """The mounts as steps, so that they have their way back."""
    on = deployment.machine.address
    kinds = {False: Mount, True: MountPassing}
    return [kinds[each.passing](on, str(each.source), each.target, readonly=each.readonly) for each in wanted]


def check(
    host: Host,
    deployment: Deployment,
    sources: Sources,
    built: Overlay,
    place: Slot,
    *,
    installed: bool = False,
    served: bool = False,
) -> None:
    """That the service's code comes from the checkouts, and can be imported; the latter once for each commit.

    `served`: with the application's own module, which our server loads.
    """
    service = deployment.service
    unit = f"devswap-{service.name}-check.service"
    wanted: dict[str, Any] = {
        "unit": unit,
        "user": deployment.user,
        "group": deployment.group,
        "package": service.package,
        "installed": installed,
        "libraries": {name: library for library, names in built.libraries.items() for name in names},
    }
    application = deployment.uwsgi.module if deployment.uwsgi else None
    if served and service.web is not None:
        application = service.web.module
    modules = [*service.check, *filter(None, [application])]
    note = cache(host) / "imported" / _digest(built.key, *sources.identity, *modules)
    if sources.dirty or not note.exists():
        host.say(f"importing {', '.join(modules)} as {deployment.user}, without a network")
        import_check.check_import(
            deployment.machine,
            place,
            **wanted,
            modules=service.check,
            application=application,
            environment=service.environment,
        )
        if not sources.dirty:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch(mode=0o600)
    else:
        import_check.check_origin(deployment.machine, place, **wanted)


def cache(host: Host) -> Path:
    """Where overlays are kept, of all swaps of this host."""
    folder = host.state / "cache"
    make_private(folder)
    return folder


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
