"""From what runs to development allowed to start: the outage begins here, and is over when development answers."""

from __future__ import annotations

import time
from dataclasses import replace

from devswap import (
    database_claims,
    database_needs,
    database_plan,
    development,
    hooks_of_swap,
    leftovers,
    preparation,
    production,
    running,
    systemd,
    traffic,
    transaction,
    way,
)
from devswap.errors import DevswapError, Untouched
from devswap.host import Host
from devswap.journal import Journal
from devswap.prepared import Prepared
from devswap.probe import Question
from devswap.pty import Terminal
from devswap.running import Start
from devswap.steps.step import from_json


def take_over(host: Host, prepared: Prepared, terminal: Terminal | None, question: Question | None) -> Start:
    """From production serving to development allowed to start: the outage begins here."""
    journal = prepared.journal
    with (
        database_claims.held(host, journal, "checkout", prepared.databases, prepared.units),
        host.changing() as host,
    ):
        if database_plan.is_outdated(host, journal, prepared.seen, prepared.together):
            preparation.abandon(host, prepared)
            service = journal.swap.service
            raise Untouched(
                f"others have migrated the database of {service}, or given it back, while this was prepared",
                hint="type the same again",
                service=service,
            )
        if not prepared.replaces:
            try:
                production.require_unchanged(host, prepared.deployment, journal.swap.fingerprint)
            except DevswapError:
                preparation.abandon(host, prepared)
                raise
        drop_in = running.drop_in_text(host, replace(journal.swap, **prepared.description), terminal)
        steps = [] if prepared.replaces else prepared.steps(drop_in)
        transaction.apply(prepared.patient, journal, host.cloud(journal))
        host.say(f"stopping {journal.swap.service} in {journal.swap.machine}")
        stopped_at = time.monotonic()
        if prepared.replaces:
            _switch(host, prepared)
        else:
            journal.describe(**prepared.description, stopped=host.now())
            transaction.apply(steps, journal, host.cloud(journal))
        running.write_drop_in(host, journal.swap, drop_in)
        # Only now: `run` goes by it, and would else start what nothing can undo.
        journal.describe(mode=_mode(journal, terminal))
    return Start(journal, stopped_at, question)


def _mode(journal: Journal, terminal: Terminal | None) -> str:
    if way.is_in_apache(journal.swap):
        return "apache"
    return "foreground" if terminal else "detached"


def _switch(host: Host, prepared: Prepared) -> None:
    """Development of the first checkout makes way for the second; what was captured of production stays."""
    journal, cloud = prepared.journal, host.cloud(prepared.journal)
    if not way.is_held(host.machine(journal.swap.machine), journal.swap):
        transaction.repeat(journal, cloud)  # the machine was restarted: production runs, and must be held again
    traffic.take_out(host, journal)
    transaction.withdraw(journal, cloud, lambda step: step.runs or hooks_of_swap.is_of_hooks(step))
    if prepared.database_returns_first:
        transaction.withdraw(journal, cloud, lambda step: database_needs.is_of_migration(step, journal.swap))
    journal.describe(**prepared.description)
    transaction.apply(prepared.switch_steps(), journal, cloud)
    transaction.withdraw(journal, cloud, prepared.is_outdated)


def start_again(host: Host, journal: Journal, terminal: Terminal | None, question: Question | None) -> Start:
    swap, machine = journal.swap, host.machine(journal.swap.machine)
    with database_claims.held(host, journal, "run"), host.changing() as changed:
        drop_in = running.drop_in_text(host, swap, terminal)
        stopped_at = time.monotonic()
        if way.is_in_apache(swap):
            traffic.rest(changed, journal)
        else:
            traffic.take_out(changed, journal)
            systemd.stop(machine, development.guard_unit(swap.service))
            systemd.stop(machine, swap.unit, late=changed.aside)
            for line in leftovers.end(machine, swap.service, swap.unit):
                host.say(line)
        running.write_drop_in(host, swap, drop_in)
        for step in (from_json(entry.step) for entry in journal.entries):
            if step.runs:
                step.do(changed.cloud(journal))
        journal.describe(mode=_mode(journal, terminal), owner=host.owner)
    return Start(journal, stopped_at, question)
