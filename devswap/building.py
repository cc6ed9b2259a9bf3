"""Builds what a takeover needs and looks at what it meets: overlay, imports, databases, hooks, while production serves.

Who asks for it (preparation.py) takes away what was mounted where it fails.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from devswap import (
    database_plan,
    debugging,
    edits,
    foreseen,
    hooks_of_swap,
    meanwhile,
    overlay,
    overlay_of_swap,
    overlay_table,
    own_server,
    patience,
    plan,
    transaction,
    tuning_of_swap,
)
from devswap.deployment import Deployment
from devswap.development import Command
from devswap.errors import DevswapError, PackagesRefused
from devswap.fingerprint import Watched
from devswap.hooks import Hook
from devswap.hooks_of_swap import Hooked
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.overlay import Overlay
from devswap.prepared import Prepared
from devswap.slot import Slot
from devswap.sources import Sources
from devswap.steps.step import Cloud
from devswap.tuning import PDB, Tuning
from devswap.wish import Makers, Wish


@dataclass(frozen=True)
class Job:
    """One preparation under way."""

    host: Host
    wish: Wish
    makers: Makers
    deployment: Deployment
    sources: Sources
    journal: Journal
    watched: Watched
    number: int
    replaces: bool

    @property
    def place(self) -> Slot:
        return plan.slot(self.deployment.service.name, self.number)

    @property
    def cloud(self) -> Cloud:
        return self.host.cloud(self.journal)

    @property
    def in_apache(self) -> bool:
        """Whether Apache itself runs development."""
        return self.deployment.hosted is not None and self.wish.apache


def build(job: Job) -> Prepared:
    host, deployment, sources, place = job.host, job.deployment, job.sources, job.place
    hooks = hooks_of_swap.found(host, deployment)
    libraries = {each.library.name: each.checkout.path for each in sources.libraries}
    trees = debugging.trees_at(place, sources.checkout.path, libraries)
    argv = plan.command(deployment, place).argv
    tuning = tuning_of_swap.tuned(host, job.journal.swap, job.wish.changes, trees, argv)
    built = _overlay(job, hooks, tuning)
    served_at = own_server.address(deployment, foreseen.scripts_of(built), sources.checkout.path)
    with meanwhile.heard(host.say) as say:
        needed = job.makers.beside(partial(_look_at_databases, job, say))
        overlay_of_swap.check(
            host, deployment, sources, built, place, installed=job.wish.install, served=bool(served_at)
        )
        known = tuning_of_swap.known_of(host, job.journal.swap, place.python, job.wish.changes, trees)
        tuning = tuning_of_swap.with_lists(host, job.journal.swap, tuning, known)
        databases: database_plan.Needed = needed()
    foreseen.require_scripts(deployment, built, databases.sync, served=bool(served_at))
    hooked = hooks_of_swap.prepared(host, deployment, hooks, sources, built, place, job.journal.swap)
    if served_at:
        host.say(own_server.told(deployment, served_at))
    patient = patience.steps(host, deployment, job.journal) if job.wish.patient else ()
    return Prepared(
        job.journal,
        deployment,
        built,
        _description(job, built, tuning, hooked, _command(job, hooked, served_at), patient=bool(patient)),
        databases.sync,
        databases.put_back,
        database_returns_first=databases.returns_first,
        replaces=job.replaces,
        fronts=databases.fronts,
        seen=databases.seen,
        sqlite=databases.sqlite,
        patient=patient,
        in_apache=job.in_apache,
        hooked=hooked,
    )


def _overlay(job: Job, hooks: Sequence[Hook], tuning: Tuning) -> Overlay:
    """Built or from the cache; it is mounted, with all else that development has besides."""
    host, deployment, sources, place = job.host, job.deployment, job.sources, job.place
    request = overlay_of_swap.request(host, deployment, sources, install=job.wish.install)
    if tuning.debugger != PDB:
        request = replace(request, tools=(tuning.debugger,))
    try:
        built = overlay_of_swap.build(host, deployment, job.journal, request, place, job.makers.build)
    except PackagesRefused as error:
        allowed = ["devswap", "checkout", deployment.service.name, job.wish.ref, "--index-policy", "fallback"]
        raise DevswapError(error.message, hint=f"{error.hint}: {shlex.join(allowed)}") from error
    uid, gid = overlay.ids(deployment.machine, deployment.user, deployment.group)
    mounts = overlay.mounts(built, request, place, cache=overlay_of_swap.cache(host), uid=uid, gid=gid)
    own = hooks_of_swap.mounts(overlay_of_swap.cache(host), deployment, hooks, sources, place, (uid, gid))
    mounts = (*mounts, edits.mount(host, deployment.service.name, deployment.machine.address, place), *own)
    transaction.apply(overlay_of_swap.mount_steps(deployment, mounts), job.journal, job.cloud)
    return built


def _command(job: Job, hooked: Hooked, served_at: str) -> Command:
    """How development is started; without words where Apache does it."""
    command = plan.command(job.deployment, job.place, hooked.made, served_at=served_at)
    argv = () if job.in_apache else command.argv
    return replace(command, argv=argv, environment={**command.environment, **hooked.environment})


def _description(
    job: Job, built: Overlay, tuning: Tuning, hooked: Hooked, command: Command, *, patient: bool
) -> dict[str, Any]:
    """What the swap says of itself once it is taken over: see journal.Swap."""
    return {
        **job.sources.described(built),
        "slot": job.number,
        "command": asdict(command),
        "package": job.deployment.service.package,
        "overlay": {"key": built.key, "packages": overlay_table.lock(built.installed)},
        "installed": job.wish.install,
        "apache": job.wish.apache,
        "owner": job.host.owner,
        "tuning": tuning.as_json(),
        "hooks": hooked.as_json(),
        "traffic": {
            "narrow": job.wish.narrow,
            "breakpoints": job.wish.breakpoints,
            "only": [list(peer) for peer in job.watched.peers],
            "patient": patience.SECONDS if patient else _patience_so_far(job.journal.swap),
        },
    }


def _look_at_databases(job: Job, say: Callable[[str], None]) -> database_plan.Needed:
    host, checkout = replace(job.host, say=say), job.sources.checkout
    return database_plan.needed(
        host, job.deployment, job.journal, checkout, job.watched, job.place, snapshot=job.wish.snapshot
    )


def _patience_so_far(swap: Swap) -> int:
    return int(swap.traffic.get("patient", 0))
