"""Prepares a takeover while production serves: checkout, overlay, import check, and what the database needs.

If anything is wrong it is found here, and production never notices. What is mounted meanwhile is in the journal.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from devswap import (
    database_needs,
    debugging,
    development,
    fingerprint,
    import_check,
    locate,
    overlay,
    overlay_of_swap,
    overlay_table,
    peers,
    plan,
    source,
    systemd,
    table,
    traffic,
    transaction,
)
from devswap.deployment import Deployment
from devswap.discovery import sites, units
from devswap.discovery.units import Found
from devswap.errors import DevswapError, PackagesRefused, UsageError
from devswap.fingerprint import Watched
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.libraries import Wanted
from devswap.masking import mask
from devswap.overlay import Overlay
from devswap.probe import Probe
from devswap.probe_queue import QueueProbe
from devswap.probe_web import WebProbe
from devswap.shared import Shelf
from devswap.slot import Slot
from devswap.source import Checkout
from devswap.sources import Sources, gather
from devswap.steps.database import SyncDatabase, shared_database
from devswap.steps.haproxy import MoveTraffic
from devswap.steps.mount import Mount
from devswap.steps.step import Cloud, Step
from devswap.steps.unit import require_unedited
from devswap.tuning import PDB, UNCHANGED, Changes, Tuning


@dataclass(frozen=True)
class Wish:
    """What a person asked for."""

    service: str
    ref: str
    machine: str | None
    remote: str | None
    detach: bool
    restore_on_exit: bool = False
    """Give production back when the foreground run ends, however it ends."""
    snapshot: bool = False
    """Dump the database even if nothing is to be migrated."""
    apache: bool = False
    """Under the web server that production has, in the background."""
    install: bool = False
    """Install the checkout, as it is now, instead of using it in place."""
    take_over: bool = False
    """Even if the swap is another user's."""
    libraries: tuple[Wanted, ...] = ()
    """What is to be run from checkouts of their own besides."""
    with_depends: bool = False
    """And what the change's Depends-On footers name."""
    changes: Changes = UNCHANGED
    """In how development runs."""
    reload: bool = False
    """Start it again on each save."""
    narrow: bool = True
    """Where HAProxy has several servers of the service, development gets the requests and they are its backups."""
    breakpoints: bool | None = None
    """HAProxy waits for a person at a prompt; None: in the foreground."""
    only: bool = False
    """Those who consume the same queue are stopped as long as development serves."""


@dataclass(frozen=True)
class Makers:
    """Who makes the two things that are mounted: the checkout, and the overlay over production's packages."""

    fetch: Callable[..., Checkout] = source.prepare
    build: Callable[..., Overlay] = overlay.prepare


MAKERS = Makers()


@dataclass(frozen=True)
class Prepared:
    """Everything is ready; only production must make way."""

    journal: Journal
    deployment: Deployment
    overlay: Overlay
    description: dict[str, Any]
    """What the swap says of itself once it is taken over."""
    sync: SyncDatabase | None
    """None where the database has all that the checkout needs."""
    database_returns_first: bool
    """The checkout before this one migrated the database away from what this one can use."""
    replaces: bool
    """The service is swapped already: only its checkout changes."""
    leaving: tuple[MoveTraffic, ...] = ()
    """HAProxy's servers that are drained and taken out before production stops."""

    in_apache: bool = False
    """Apache runs development, as it does production."""

    @property
    def _place(self) -> Slot:
        return plan.slot(self.journal.swap.service, self.description["slot"])

    def steps(self, drop_in: str) -> list[Step]:
        own = plan.takeover(self.deployment, drop_in, self.sync, self._place, in_apache=self.in_apache)
        return [*self.leaving, *own]

    def switch_steps(self) -> list[Step]:
        run = plan.run_step(self.deployment, self._place, in_apache=self.in_apache)
        return [*([self.sync] if self.sync else []), run]

    def is_outdated(self, step: Step) -> bool:
        """Whether `step` mounts what the checkout before this one used."""
        return isinstance(step, Mount) and not step.target.startswith(self._place.checkout.rpartition("/")[0] + "/")


def locate_place(host: Host, wish: Wish) -> Found:
    """Where the service is that is meant; looks only. Raises DevswapError for one that cannot be taken over yet."""
    service = host.catalogue().get(wish.service)
    if service.unsupported:
        raise DevswapError(
            f"cannot take {service.name} over yet: {service.unsupported}",
            hint=f"devswap list {service.name} shows what is known of it",
        )
    return locate.one(host, service, wish.machine)


def prepare(host: Host, wish: Wish, place: Found, makers: Makers = MAKERS) -> Prepared:
    """Raises DevswapError with production untouched, or with the swap as it was before. The caller has the claim."""
    existing = host.journals.find(place.service.name, place.machine.address)
    if existing is not None:
        locate.require_owner(host, existing, take_over=wish.take_over)
        transaction.require_complete(existing)
        require_unedited(place.machine, existing.swap.unit)
    deployment = _examined(place, existing)
    _require_possible(deployment, wish, existing)
    sources = gather(
        host,
        deployment,
        wish.ref,
        remote=wish.remote,
        wanted=wish.libraries,
        with_depends=wish.with_depends,
        fetch=makers.fetch,
    )
    if existing is None:
        return _prepare_first(host, deployment, sources, wish, makers)
    return _prepare_switch(host, deployment, sources, wish, existing, makers)


def _require_possible(deployment: Deployment, wish: Wish, existing: Journal | None) -> None:
    """Raise for a way of running it that there is not for this deployment."""
    service, where = deployment.service.name, deployment.machine.name
    if deployment.hosted is None:
        if wish.apache and not (deployment.uwsgi or deployment.front):
            raise UsageError(f"no web server runs {service} in {where}", hint="leave --apache out")
        return
    if not wish.apache and any(address.startswith("https") for address in deployment.addresses):
        raise DevswapError(f"cannot run {service} of {where} on a terminal: Apache does TLS for it", hint="--apache")
    if existing is not None and (existing.swap.unit == deployment.unit) != wish.apache:
        raise DevswapError(
            f"{service} in {where} is swapped in another way: --apache is for the first checkout to say",
            hint=f"devswap restore {service}, then check out again",
        )


def _prepare_first(host: Host, deployment: Deployment, sources: Sources, wish: Wish, makers: Makers) -> Prepared:
    _require_nothing_left(host, deployment)
    _require_last_word(deployment)
    served = traffic.of_deployment(host, deployment.service, deployment.machine.address)
    traffic.require_sound(each.balancer for each in served)
    others = _peers(host, deployment, only=wish.only)
    watched = replace(
        watch(host, deployment),
        balanced=tuple(map(traffic.balanced, served)),
        peers=tuple(others if wish.only else ()),
    )
    host.say(f"taking the fingerprint of production's {deployment.service.name}")
    # A restore of another swap may stop this service for an instant: that is not how production was.
    with host.journals.changing(say=host.say):
        before = fingerprint.take(watched, host.machine)
        if watched.database and Shelf(host.state / "shared").find(shared_database(watched.database)):
            # Another swap has migrated it: how it was before is in that swap's fingerprint.
            before = {name: value for name, value in before.items() if not name.startswith("database ")}
        if traffic.movers(host, watched):
            before = {name: value for name, value in before.items() if not name.startswith(fingerprint.HAPROXY)}
        journal = Journal.create(
            host.journals.folder(deployment.service.name, deployment.machine.address),
            _swap(host, deployment, sources.checkout, wish, watched, before),
        )
    try:
        built = _build(_Job(host, wish, makers, deployment, sources, journal, watched, number=1, replaces=False))
    except BaseException:
        _abandon_first(host, journal)
        raise
    return replace(built, leaving=tuple(traffic.leaving(served, deployment.machine.address)))


def _peers(host: Host, deployment: Deployment, *, only: bool) -> list[peers.Peer]:
    found, queue = peers.of(host, deployment), deployment.service.queue
    if found and queue:
        host.say(peers.told(deployment.service.name, queue.topic, found, only=only))
    return found


def _require_nothing_left(host: Host, deployment: Deployment) -> None:
    """Raise where an earlier swap was forgotten by hand, but not its capture: this one would take it for its own."""
    service, shelf = deployment.service.name, Shelf(host.state / "shared")
    name = host.journals.folder(service, deployment.machine.address).name
    for record in shelf.held_by(name):
        others = [holder.partition("@")[0] for holder in record.holders if holder != name]
        raise DevswapError(
            f"a capture of the {record.name} is left of an earlier swap of {service}, whose journal is gone",
            hint=f"devswap restore {others[0]} first"
            if others
            else f"if the database is as it was: rm -r {shlex.quote(str(shelf.vault(record.name)))}",
        )


def _require_last_word(deployment: Deployment) -> None:
    """Raise where a drop-in of production would be read after ours and set its own command."""
    machine = deployment.machine
    for path in systemd.show(machine, deployment.unit, "DropInPaths")["DropInPaths"].split():
        later = path.rpartition("/")[2] > development.NAME
        if later and "ExecStart=" in (machine.read_text(path) or ""):
            raise DevswapError(
                f"cannot take {deployment.unit} in {machine.name} over: {path} sets ExecStart, and is read after ours",
                hint=f"give it a name before {development.NAME}",
            )


def show_packages(host: Host, prepared: Prepared) -> None:
    """The table of what the overlay holds besides production's packages."""
    if locked := prepared.description["overlay"]["packages"]:
        for line in table.lines(overlay_table.HEADER, overlay_table.rows(locked)):
            host.say(line)


def abandon(host: Host, prepared: Prepared) -> None:
    """Take away what was mounted; production, or the swap as it was, never noticed."""
    if prepared.replaces:
        _abandon_switch(host, prepared.journal)
    else:
        _abandon_first(host, prepared.journal)


def _abandon_first(host: Host, journal: Journal) -> None:
    with transaction.whole_or_said(journal):
        transaction.rollback(journal, host.cloud(journal))
        journal.remove()


def _abandon_switch(host: Host, journal: Journal) -> None:
    """All that is mounted besides what serves: an overlay under construction as well."""
    serving = plan.slot(journal.swap.service, journal.swap.slot).checkout.rpartition("/")[0] + "/"
    transaction.withdraw(
        journal, host.cloud(journal), lambda step: isinstance(step, Mount) and not step.target.startswith(serving)
    )


def _prepare_switch(
    host: Host, deployment: Deployment, sources: Sources, wish: Wish, journal: Journal, makers: Makers
) -> Prepared:
    watched = fingerprint.watched_from_json(journal.swap.watched)
    number = journal.swap.slot + 1
    try:
        return _build(_Job(host, wish, makers, deployment, sources, journal, watched, number=number, replaces=True))
    except BaseException:
        _abandon_switch(host, journal)
        raise


@dataclass(frozen=True)
class _Job:
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


def _build(job: _Job) -> Prepared:
    host, deployment, sources, place = job.host, job.deployment, job.sources, job.place
    command = plan.command(deployment, place)
    tuning = tuned(host, job.journal.swap, job.wish.changes, sources.checkout.path, command.argv)
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
    transaction.apply(overlay_of_swap.mount_steps(deployment, mounts), job.journal, job.cloud)
    overlay_of_swap.check(host, deployment, sources, built, place, installed=job.wish.install)
    sync, first = None, False
    if job.watched.database is not None:
        needs = database_needs.Needs(host, deployment, sources.checkout, job.journal, job.watched.database)
        sync, first = needs.migration(place, snapshot=job.wish.snapshot)
    _require_scripts(deployment, built, sync)
    in_apache = deployment.hosted is not None and job.wish.apache
    if in_apache:
        command = replace(command, argv=())
    description = {
        **sources.described(built),
        "slot": job.number,
        "command": asdict(command),
        "package": deployment.service.package,
        "overlay": {"key": built.key, "packages": overlay_table.lock(built.installed)},
        "installed": job.wish.install,
        "owner": host.owner,
        "tuning": tuning.as_json(),
        "traffic": {
            "narrow": job.wish.narrow,
            "breakpoints": job.wish.breakpoints,
            "only": [list(peer) for peer in job.watched.peers],
        },
    }
    return Prepared(
        job.journal,
        deployment,
        built,
        description,
        sync,
        database_returns_first=first,
        replaces=job.replaces,
        in_apache=in_apache,
    )


def tuned(host: Host, swap: Swap, changes: Changes, checkout: Path, argv: Sequence[str]) -> Tuning:
    """How the swap's development shall run now; raises DevswapError for a change that `checkout` cannot have.

    Breakpoints from before that it has no place for are the service's to say: see debugger/breakpoints.py.
    """
    one_worker = host.catalogue().get(swap.service).one_worker
    found = changes.applied(Tuning.read(swap.tuning), service=swap.service, one_worker=one_worker, argv=argv)
    debugging.require(changes.breakpoints, checkout, swap.package)
    return debugging.with_address(found, host.machine(swap.machine).addresses() if found.debugger != PDB else ())


def tuned_again(host: Host, swap: Swap, changes: Changes) -> Tuning:
    """As `tuned`, for another run of the same checkout, whose overlay has the debugger that it was made with."""
    if changes.debugger not in (None, PDB, Tuning.read(swap.tuning).debugger):
        raise UsageError(
            f"the overlay of {swap.service} has no {changes.debugger}",
            hint=f"devswap checkout {swap.service} {swap.ref} --debugger {changes.debugger}",
        )
    return tuned(host, swap, changes, Path(swap.checkout), swap.command["argv"])


def _require_scripts(deployment: Deployment, built: Overlay, sync: SyncDatabase | None) -> None:
    """Raise where what production starts is not there to be started: found after the stop it would be an outage."""
    missing = plan.missing_scripts(deployment, [path.name for path in (built.folder / "bin").iterdir()], sync)
    if missing:
        names = ", ".join(missing)
        raise DevswapError(
            f"the checkout has no script {names}, which {deployment.unit} in {deployment.machine.name} needs",
            hint="has the change renamed it? see console_scripts in its setup.cfg or pyproject.toml",
        )


def refresh(host: Host, journal: Journal) -> None:
    """Before another run: the code must still come from the checkout; after a reboot nothing is mounted any more."""
    swap = journal.swap
    machine = host.machine(swap.machine)
    if not machine.is_running():
        raise DevswapError(f"{machine.name} is stopped", hint=f"lxc-start -n {machine.name}")
    require_unedited(machine, swap.unit)
    place = plan.slot(swap.service, swap.slot)
    if place.checkout not in machine.mounted(place.checkout):
        host.say(f"{machine.name} was restarted: doing the steps of the swap again")
        with host.journals.changing():
            transaction.repeat(journal, host.cloud(journal))
    import_check.check_origin(
        machine,
        place,
        unit=f"devswap-{swap.service}-check.service",
        user=swap.deployment["user"],
        group=swap.deployment["group"],
        package=swap.package,
        installed=swap.installed,
        libraries={name: library["folder"] for library in swap.libraries for name in library["packages"]},
    )


def watch(host: Host, deployment: Deployment) -> Watched:
    """What the fingerprint of this deployment looks at."""
    service = deployment.service
    told = deployment.uwsgi
    return Watched(
        on=deployment.machine.address,
        service=service.name,
        unit=deployment.unit,
        folders=tuple(dict.fromkeys(path.rpartition("/")[0] for path in service.config)),
        site_folders=deployment.interpreter.site_folders,
        database=database_needs.source_of(host, deployment),
        probe=_probe(deployment),
        front=deployment.front.unit if deployment.front else "",
        front_addresses=deployment.front.addresses if deployment.front else (),
        files=(*(told.files if told else ()), *sites.files(deployment.machine)) if service.web else (),
    )


def _probe(deployment: Deployment) -> Probe | None:
    """How this deployment is asked whether it serves; None where only its unit can tell."""
    service, python = deployment.service, deployment.interpreter.path
    if service.queue:
        return QueueProbe(deployment.unit, service.queue.topic, python, deployment.user, deployment.config_files)
    if service.web and deployment.addresses:
        return WebProbe(deployment.unit, python, deployment.user, deployment.addresses, service.web.path)
    return None


def _examined(found: Found, existing: Journal | None) -> Deployment:
    """While swapped, the unit shows development's command: then production's is in the journal."""
    if existing is None:
        return locate.require_trusted(units.examine(found))
    return units.from_json(found, existing.swap.deployment)


def _swap(
    host: Host, deployment: Deployment, checkout: Checkout, wish: Wish, watched: Watched, before: dict[str, str]
) -> Swap:
    return Swap(
        service=deployment.service.name,
        project=deployment.service.project,
        package=deployment.service.package,
        machine=deployment.machine.address,
        unit=plan.unit_of(deployment, in_apache=wish.apache),
        owner=host.owner,
        since=host.now(),
        ref=mask(wish.ref),
        commit=checkout.commit,
        subject=checkout.subject,
        checkout=str(checkout.path),
        mode="preparing",
        slot=1,
        watched=watched.as_json(),
        deployment=units.as_json(deployment),
        fingerprint=before,
        shares=[shared_database(watched.database)] if watched.database else [],
    )
