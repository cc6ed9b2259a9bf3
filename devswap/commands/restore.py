"""devswap restore."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from devswap import arguments, console, locate, narrowing, recovery, session, status, swap, testing, transaction
from devswap.commands import examples
from devswap.errors import DevswapError, Interrupted, NotWhole, UsageError
from devswap.host import Host
from devswap.journal import Journal
from devswap.machine import shown
from devswap.masking import mask
from devswap.proof import Restored
from devswap.steps.database import SyncDatabase
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.step import Kept, Step

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap restore heat-engine",
        "devswap restore",
    )
)
def restore(
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Which; all by default.")] = None,
    machine: arguments.Machine = None,
    as_json: arguments.AsJson = False,  # noqa: FBT002
    keep_database: Annotated[  # noqa: FBT002
        bool, typer.Option("--keep-database", help="Leave a migrated database as it is; its dump is kept.")
    ] = False,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="STEP", help="Leave what a step changed as it is, for good.")
    ] = None,
    keep_theirs: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-theirs", metavar="[MACHINE:]FILE", help="Leave a file as somebody else made it meanwhile."
        ),
    ] = None,
    after_restart: Annotated[  # noqa: FBT002
        bool, typer.Option("--after-restart", help="Only what a restart has interrupted and nobody runs now.")
    ] = False,
    take_over: Annotated[  # noqa: FBT002
        bool, typer.Option("--take-over", help="End another user's run, if one is under way.")
    ] = False,
) -> None:
    """Bring production back, and prove it.

    Undoes every step of a swap, and compares the facts about production with those taken before. Needs neither the
    checkout nor the network. Exit 3 if production is not whole: run it again.
    """
    host = session.open_host_to_restore()
    kinds = _kinds({*(skip or ()), *([SyncDatabase.kind, KeepSqlite.kind] if keep_database else ())})
    meant = [name for name in services or [] if _is_swapped(host, name, say=not as_json)]
    journals = _meant(host, meant, machine) if meant or not services else []
    if after_restart:
        journals = [journal for journal in journals if recovery.is_interrupted(host, journal)]
    kept = Kept(kinds, _files(host, journals, frozenset(keep_theirs or ())))
    failures: list[DevswapError] = [] if services else list(host.journals.unreadable())
    if not journals and not failures and not as_json and not services:
        nothing = f"nothing is swapped in {machine}" if machine else status.nothing(host)
        print("nothing was interrupted" if after_restart else nothing)

    def back(journal: Journal) -> list[Restored]:
        try:
            if after_restart:
                return recovery.restore(host, journal, kept)
            _tell_whose(host, journal)
            return [swap.restore(host, journal, take_over=take_over, kept=kept)]
        except KeyboardInterrupt as error:  # while it waited for others
            raise Interrupted(f"interrupted; {journal.swap.service} is not given back") from error

    results, failed = _each(host, journals, back)
    failures += failed
    try:
        _show_all(results, failures, as_json=as_json)
    except OSError:  # nobody reads it any more, or the disk is full: what failed is told all the same
        if not failures:
            raise
    failures.sort(key=lambda failure: (isinstance(failure, NotWhole), failure.exit_code))
    for failure in failures[:-1]:
        console.show_error(failure)
    if failures:
        raise failures[-1]


def _show_all(results: Sequence[Restored], failures: Sequence[DevswapError], *, as_json: bool) -> None:
    if as_json:
        console.show_json(
            {"restored": [asdict(result) for result in results], "failed": [failure.message for failure in failures]}
        )
    for result in [] if as_json else results:
        _show(result)
    sys.stdout.flush()


def _each(
    host: Host, journals: Sequence[Journal], back: Callable[[Journal], list[Restored]]
) -> tuple[list[Restored], list[DevswapError]]:
    """What came back, and what did not; a service may need another one, which a killed restore has left stopped."""
    results, failed, failures = list[Restored](), list[tuple[Journal, DevswapError, int]](), list[DevswapError]()
    for journal in reversed(journals):
        try:
            results += back(journal)
        except DevswapError as error:
            failed.append((journal, error, len(results)))
            if isinstance(error, Interrupted):  # what has failed before it is told all the same
                return results, [failure for _, failure, _ in failed]
    for number, (journal, failure, before) in enumerate(failed):
        if not isinstance(failure, NotWhole) or len(results) == before:
            failures.append(failure)
            continue
        host.say(f"{journal.swap.service} once more, since others came back after it: {failure.message}")
        try:
            results += back(journal)
        except Interrupted as error:  # what this one and those after it have failed with is so still
            return results, [*failures, error, *(each for _, each, _ in failed[number:])]
        except DevswapError as again:
            failures.append(again)
    return results, failures


def _tell_whose(host: Host, journal: Journal) -> None:
    owner = journal.swap.owner
    if locate.is_anothers(host, journal):
        host.say(f"{journal.swap.service} was taken over by {owner.user} on {owner.terminal or owner.host}")


def _is_swapped(host: Host, name: str, *, say: bool) -> bool:
    """Whether there is anything to restore; raises UsageError for a service nobody knows."""
    if locate.is_swapped(host, name) or narrowing.is_all_there_is(host, name):
        return True
    narrowed = narrowing.is_one(name) and not narrowing.is_narrowed(host, narrowing.called(name))
    if not narrowed:
        host.catalogue().get(name)
    if say:
        print(f"{name} is not {'narrowed' if narrowed else 'swapped'}: there is nothing to restore")
    return False


def _kinds(wanted: set[str]) -> frozenset[str]:
    known = {kind for kind, step in Step.known.items() if step.facts}
    if wrong := wanted - known:
        raise UsageError(
            f"cannot leave {wrong.pop()!r} as it is", hint=f"these can be left: {', '.join(sorted(known))}"
        )
    return frozenset(wanted)


def _files(host: Host, journals: list[Journal], wanted: frozenset[str]) -> frozenset[tuple[str, str]]:
    """(machine, path) of each that is `wanted`. A swap that cannot be read fails by itself, and keeps no other."""
    changed, all_read = set[tuple[str, str]](), True
    for journal in journals if wanted else []:
        try:
            changed |= transaction.files(journal, host.cloud(journal))
        except DevswapError:
            all_read = False
    named = {name: [file for file in changed if name in (file[1], ":".join(file))] for name in wanted}
    for name, found in sorted(named.items()):
        every = ", ".join(sorted(map(":".join, found or changed)))
        if not found and all_read:
            hint = f"these were: {every}" if changed else "it stays as it is anyway"
            raise UsageError(f"{name} was not changed by devswap", hint=hint)
        if len(found) > 1:
            raise UsageError(f"{name} was changed in {len(found)} machines", hint=f"say which: {every}")
    return frozenset(file for found in named.values() for file in found)


def _meant(host: Host, services: list[str], machine: str | None) -> list[Journal]:
    if services:
        return [
            narrowing.find(host, name) if narrowing.is_all_there_is(host, name) else locate.swap(host, name, machine)
            for name in services
        ]
    known = host.journals.all()
    found = [journal for journal in known if locate.is_meant(journal, machine)]
    if known and not found and not _runs(host, machine):
        where = ", ".join(sorted({journal.swap.machine for journal in known}))
        raise UsageError(f"there is no machine {machine} that runs", hint=f"there are swaps in {where}")
    return found


def _runs(host: Host, machine: str | None) -> bool:
    try:
        return any(locate.is_named(each.address, machine) for each in host.running())
    except DevswapError:  # a host that cannot list its machines has none of that name
        return False


def _show(result: Restored) -> None:
    if testing.is_one(result.service):
        print(f"{result.service}: what was mounted for them in {result.machine} is taken away")
        return
    if not result.facts:
        what = "its machine is gone" if result.moot else "was given back already"
        print(f"{result.service}: {what}: {shown(result.machine)}")
        _show_moot(result)
        return
    what = "its requests go as before" if narrowing.is_one(result.service) else "production is back"
    print(f"{result.service}: {what} in {shown(result.machine)}: {result.told}")
    for name in result.held:
        print(f"  the {name} stays changed: other swaps hold it")
    for line in result.left:
        print(f"  left as it is: {mask(line)}")
    for line in result.changed_by_others:
        print(f"  changed, and not by devswap: {mask(line)}")  # a command line may hold a password
    _show_moot(result)


def _show_moot(result: Restored) -> None:
    for line in result.moot:
        print(f"  gone with its machine, nothing left to do: {line}")
