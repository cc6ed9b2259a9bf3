"""What is swapped, asked of the machines: never just what the journal says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devswap import (
    claims,
    debugging,
    development,
    edits,
    fingerprint,
    git,
    narrowing,
    newest,
    plan,
    probe,
    systemd,
    testing,
    transaction,
    way,
)
from devswap.errors import DevswapError, MachineGone
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.machine import Machine, shown, while_running
from devswap.shared import Shelf
from devswap.steps.mount import BASE
from devswap.steps.peer import HoldPeer
from devswap.steps.step import from_json
from devswap.tuning import Tuning


@dataclass(frozen=True)
class SwapStatus:
    """One swap as it is now. `healthy` is what `status --check` goes by."""

    service: str
    project: str
    machine: str
    ref: str
    commit: str
    subject: str
    checkout: str
    head: str
    """The commit that the checkout is on now; empty where git cannot tell."""
    edits: int
    """How many of its files have edits that are in no commit."""
    review: dict[str, Any] | None
    """The Gerrit change, if it is one, with the newest patchset that is known of it."""
    libraries: list[dict[str, Any]]
    """What is run from checkouts of their own besides: name, ref, commit, subject, checkout, version …"""
    mode: str
    state: str
    """stopped, ended, preparing, interrupted, restoring, production, machine stopped/gone, or unknown."""
    serving: bool
    why: str
    owner: str
    since: str
    healthy: bool
    packages: list[dict[str, str | None]]
    """What its overlay holds besides production's packages: see overlay_table.py."""
    edited: list[dict[str, Any]]
    """Its own copies of files of /etc: path, and whether what runs was started with it."""
    tuning: Tuning
    not_loaded: list[str]
    """Its breakpoints in modules that what runs has not loaded so far."""
    patient: int
    """Seconds that its callers wait for its answers; 0: as in production."""
    only: list[str]
    """Its peers that are stopped, so that every message comes to it: UNIT in MACHINE."""
    held_with: dict[str, list[str]]
    """What of it other swaps hold too, and which: it stays changed until the last of them is restored."""


def of(host: Host, journal: Journal) -> SwapStatus:
    """Asks the machine; never raises for what is wrong with it, but says so."""
    newest.ask_all(host.state, journal.swap)
    state, serving, why = _look(host, journal)
    swap = journal.swap
    head, edits_now = _of_checkout(host, swap)
    return SwapStatus(
        service=swap.service,
        project=swap.project,
        machine=swap.machine,
        ref=swap.ref,
        commit=swap.commit,
        subject=swap.subject,
        checkout=swap.checkout,
        head=head,
        edits=edits_now,
        review=_review(host, swap.review),
        libraries=[{**library, "review": _review(host, library["review"])} for library in swap.libraries],
        mode=swap.mode,
        state=state,
        serving=serving,
        why=why,
        owner=f"{swap.owner.user}@{swap.owner.host} {swap.owner.terminal}".strip(),
        since=swap.since,
        healthy=state in ("running", narrowing.MODE, testing.MODE) and serving,
        packages=swap.overlay.get("packages", []),
        edited=_edited(host, swap),
        tuning=Tuning.read(swap.tuning),
        not_loaded=_not_loaded(host, swap) if state == "running" else [],
        patient=int(swap.traffic.get("patient", 0)),
        only=list(_stopped_for(host, journal)),
        held_with=_held_with(host, journal),
    )


def nothing(host: Host) -> str:
    """What is said where no swap is known; a folder that nobody names any more may know of one that is there."""
    held = list(_held(host))
    if not held:
        return "nothing is swapped; production runs everywhere"
    are = "is" if len(held) == 1 else "are"
    return (
        f"nothing is swapped that {host.state} knows of, but {', '.join(held)} {are} held by a devswap "
        "with another state folder: DEVSWAP_STATE_DIR, or state_dir in /etc/devswap/config.toml, names it"
    )


def _held(host: Host) -> Iterator[str]:
    """UNIT in MACHINE of what a drop-in of devswap's name keeps from running as production has it."""
    try:
        machines = host.running()
    except DevswapError:  # a host that cannot list its machines has none
        return
    for machine in machines:
        for unit in while_running(machine, _held_in) or ():
            yield f"{unit} in {machine.address}"


def _held_in(machine: Machine) -> list[str]:
    folder = development.path("").partition("/.d/")[0]
    units = [name.removesuffix(".d") for name in machine.names(folder) if name.endswith(".service.d")]
    # One that a restore has left to somebody (--keep-theirs) is of that name, too, and holds nothing.
    return [unit for unit in units if f"{BASE}/" in (machine.read_text(development.path(unit)) or "")]


def _stopped_for(host: Host, journal: Journal) -> Iterator[str]:
    """Its peers that are held now; those of a machine that is gone, or was restarted, are not."""
    for entry in journal.entries:
        if entry.step.get("kind") != HoldPeer.kind:
            continue
        with suppress(DevswapError, OSError, KeyError):
            unit, on = entry.step["unit"], entry.step["on"]
            if host.machine(on).exists(development.path(unit)):
                yield f"{unit} in {shown(on)}"


def _held_with(host: Host, journal: Journal) -> dict[str, list[str]]:
    mine = journal.folder.name
    try:
        records = list(Shelf(host.state / "shared").held_by(mine))
    except (DevswapError, OSError):
        return {}
    return {record.name: others for record in records if (others := [each for each in record.holders if each != mine])}


def _review(host: Host, review: dict[str, Any] | None) -> dict[str, Any] | None:
    if review is None:
        return None
    found = newest.known(host.state, review)
    return {**found, "newer_patchset": newest.is_outdated(found)}


def _of_checkout(host: Host, swap: Swap) -> tuple[str, int]:
    """(the commit it is on, how many files are edited), as git sees it for the person who asks, if it is theirs."""
    if not swap.checkout:
        return "", 0
    try:
        told = (
            git.of_checkout(host.home(), Path(swap.checkout)).read("status", "--porcelain=v2", "--branch").splitlines()
        )
    except (DevswapError, OSError):
        return "", 0
    head = next((line.rpartition(" ")[2] for line in told if line.startswith("# branch.oid ")), "")
    return head, sum(not line.startswith("#") for line in told)


def _edited(host: Host, swap: Swap) -> list[dict[str, Any]]:
    paths = edits.in_force(host, swap)
    if not paths:
        return []
    try:
        drop_in = host.machine(swap.machine).read_text(development.path(swap.unit)) or ""
    except (DevswapError, OSError):
        drop_in = ""
    place = plan.slot(swap.service, swap.slot)
    return [{"path": path, "seen": f"{place.edited}{path}:" in drop_in} for path in paths]


def _not_loaded(host: Host, swap: Swap) -> list[str]:
    wanted = Tuning.read(swap.tuning).breakpoints
    if not wanted or way.is_in_apache(swap):
        return []
    try:
        met = (host.machine(swap.machine).read_text(debugging.placed_file(swap)) or "").splitlines()
    except (DevswapError, OSError):
        return []
    return [text for text in wanted if text not in met]


def _look(host: Host, journal: Journal) -> tuple[str, bool, str]:
    swap = journal.swap
    try:
        machine = host.machine(swap.machine)
        if not machine.is_running():
            return "machine stopped", False, f"start it: lxc-start -n {machine.name}"
        return _ask(host, journal, machine)
    except MachineGone as error:
        return "machine gone", False, error.message
    except (DevswapError, OSError, ValueError, KeyError, TypeError) as error:
        return "unknown", False, str(error)


def _ask(host: Host, journal: Journal, machine: Machine) -> tuple[str, bool, str]:
    swap = journal.swap
    if narrowing.is_one(swap.service):
        return narrowing.state(host, journal)
    if testing.is_one(swap.service):
        return testing.state(host, swap)
    unit = systemd.state(machine, swap.unit)
    if swap.mode == "restoring":
        return "restoring", False, f"a restore is under way, or was interrupted: devswap restore {journal.called}"
    if swap.mode == "preparing":
        claimed = claims.holder(host.journals.claim_path(swap.service, swap.machine)) is not None
        return _preparing(claimed, bool(swap.stopped), journal.called)
    if not transaction.is_complete(journal):
        return "interrupted", False, f"a switch of its checkout was interrupted; devswap restore {journal.called}"
    if not way.is_held(machine, swap):
        return "production", False, _restarted(journal, machine)
    if not unit.is_active:
        return _idle(swap.mode, unit.code, unit.active, journal.called)
    watched = fingerprint.watched_from_json(swap.watched)
    if watched.probe is None:
        return "running", True, "its unit is active"
    answer = probe.ask(watched.probe, machine)
    return "running", answer.serving, answer.why


def _restarted(journal: Journal, machine: Machine) -> str:
    """What held production went with the machine's /run; what is left of the swap lies elsewhere."""
    found = systemd.state(machine, fingerprint.watched_from_json(journal.swap.watched).unit)
    now = "runs again" if found.is_active else f"is held no more, and is {found.active}"
    steps = [from_json(entry.step) for entry in reversed(journal.entries)]
    lasting = [step for step in steps if step.outlives_restart or any(not _is_in_run(path) for path in step.files)]
    left = dict.fromkeys(step.describe()[1] for step in lasting)
    again = f"production {now}; devswap restore {journal.called} completes it"
    return f"{again}: {', '.join(left)}" if left else again


def _is_in_run(path: str) -> bool:
    return path.startswith("/run/")


def _preparing(alive: bool, stopped: bool, called: str) -> tuple[str, bool, str]:  # noqa: FBT001
    if alive and stopped:
        return "preparing", False, "production is stopped: development is about to start"
    if alive:
        return "preparing", False, "production serves meanwhile"
    return "interrupted", False, f"the checkout was interrupted; devswap restore {called} completes it"


def _idle(mode: str, code: int, active: str, called: str) -> tuple[str, bool, str]:
    if mode == "detached":
        return "ended", False, f"it ended with code {code}" + (" (failed)" if active == "failed" else "")
    return "stopped", False, f"devswap run {called} starts it, devswap restore {called} gives production back"
