"""devswap checkout."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import arguments, kept_runs, kept_terminal, libraries, options, outcome, session, several, swap
from devswap.commands import examples
from devswap.errors import UsageError
from devswap.wish import Wish

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap checkout heat-engine review/123",
        "devswap checkout heat-engine review/123/4 --detach",
        "devswap checkout heat-api heat-engine review/123",
        "devswap checkout heat-engine stable/2026.1 --remote https://git.example.org/heat",
        "devswap checkout heat-engine review/123 --with-depends",
        "devswap checkout heat-engine .",
        "devswap checkout heat-engine review/123 --with oslo.messaging=review/456 --with ~/src/oslo.db",
        "devswap checkout heat-engine . --debug --break heat.engine.service:EngineService.create_stack",
    )
)
def checkout(
    services: Annotated[
        list[str],
        typer.Argument(
            metavar="SERVICE...",
            default_factory=list,
            show_default=False,
            help="As devswap list shows it; several of one project.",
        ),
    ],
    ref: Annotated[
        str,
        typer.Argument(
            metavar="REF", help="review/N[/PATCHSET], a Gerrit URL, a branch, tag or commit, URL@REF, or a path."
        ),
    ],
    machine: arguments.Machine = None,
    yes: arguments.Yes = False,  # noqa: FBT002
    remote: arguments.Remote = None,
    with_: arguments.With = None,
    with_depends: arguments.WithDepends = False,  # noqa: FBT002
    detach: arguments.Detach = False,  # noqa: FBT002
    foreground: arguments.Foreground = False,  # noqa: FBT002
    terminal: arguments.Terminal = None,
    apache: Annotated[  # noqa: FBT002
        bool, typer.Option("--apache", help="Under the web server that production has, in the background.")
    ] = False,
    install: Annotated[  # noqa: FBT002
        bool, typer.Option("--install", help="Install the checkout as it is now, instead of using it in place.")
    ] = False,
    snapshot: Annotated[  # noqa: FBT002
        bool, typer.Option("--snapshot", help="Dump the database even if nothing is to be migrated.")
    ] = False,
    restore_on_exit: arguments.RestoreOnExit = False,  # noqa: FBT002
    take_over: arguments.TakeOver = False,  # noqa: FBT002
    wait: arguments.Wait = None,
    index_policy: arguments.IndexPolicy = None,
    constraints: arguments.Constraints = None,
    no_constraints: arguments.NoConstraints = False,  # noqa: FBT002
    settings: arguments.Set = None,
    unset: arguments.Unset = None,
    debug: arguments.Debug = False,  # noqa: FBT002
    workers: arguments.Workers = None,
    stops: arguments.Break = None,
    no_break: arguments.NoBreak = False,  # noqa: FBT002
    post_mortem: arguments.PostMortem = None,
    debugger: arguments.Debugger = None,
    listen: arguments.Listen = None,
    wait_for_client: arguments.WaitForClient = None,
    write_launch: arguments.WriteLaunch = None,
    reload: arguments.Reload = False,  # noqa: FBT002
    narrow: Annotated[  # noqa: FBT002
        bool, typer.Option("--narrow/--no-narrow", help="Whether its peers in HAProxy become backups.")
    ] = True,
    breakpoints: Annotated[
        bool | None,
        typer.Option("--breakpoints/--no-breakpoints", help="HAProxy waits for a prompt; default: in the foreground."),
    ] = None,
    only: Annotated[  # noqa: FBT002
        bool, typer.Option("--only", help="Stop those who consume the same queue elsewhere, as long as it serves.")
    ] = False,
    patient: Annotated[  # noqa: FBT002
        bool,
        typer.Option("--patient", help="Restart its RPC callers, now and at the restore, to wait for a prompt."),
    ] = False,
    dry_run: arguments.DryRun = False,  # noqa: FBT002
) -> None:
    """Take a service over with a checkout.

    Prepares everything while production serves, stops the one service, migrates its database if the checkout asks for
    that, and runs the checkout's version: on this terminal until Ctrl-C, or in the background with --detach, on a
    terminal that devswap attach comes back to. The swap stays until devswap restore.

    Several services of one project share the checkout and the migration: all are taken over, or none. On the terminal
    each line says whose it is; at a prompt it belongs to the one that stopped.
    """
    if not services:
        raise UsageError(f"which REF of {ref}?", hint=f"devswap checkout {ref} review/123")
    kept = options.keeps_terminal(detach=detach, terminal=terminal, apache=apache, services=len(services))
    kept = kept and not dry_run
    chosen = tuple(map(libraries.parse, with_ or []))
    options.check(
        detach=detach,
        wait=wait,
        restore_on_exit=restore_on_exit,
        reload=reload,
        apache=apache,
        foreground=foreground,
        kept=kept,
    )
    changes = options.changes(
        settings=settings,
        unset=unset,
        debug=debug,
        workers=workers,
        stops=stops,
        no_break=no_break,
        post_mortem=post_mortem,
        debugger=debugger,
        listen=listen,
        wait_for_client=wait_for_client,
        write_launch=write_launch,
    )
    host = session.open_host(
        yes=yes,
        wait=wait,
        index_policy=index_policy,
        constraints=options.constraints(constraints, none=no_constraints),
    )
    if len(services) > 1:
        options.check_several(reload=reload, debugger=debugger, listen=listen, patient=patient)
    if kept and not kept_terminal.is_inside():
        raise typer.Exit(kept_runs.begin(host, services))
    wish = Wish(
        service=services[0],
        ref=ref,
        machine=machine,
        remote=remote,
        detach=detach and not kept,
        kept=kept,
        restore_on_exit=restore_on_exit,
        snapshot=snapshot,
        apache=apache,
        foreground=foreground or kept,
        install=install,
        take_over=take_over,
        libraries=chosen,
        with_depends=with_depends,
        changes=changes,
        reload=reload,
        narrow=narrow,
        breakpoints=breakpoints,
        only=only,
        patient=patient,
    )
    if dry_run:
        for planned in several.planned(host, services, wish) if len(services) > 1 else [swap.plan(host, wish)]:
            outcome.show_plan(planned, as_json=False)
        return
    if len(services) > 1:
        ended = several.checkout(host, services, wish)
        outcome.show_runs(host, services, ended, given_back=restore_on_exit)
        return
    outcome.show_run(host, services[0], several.checkout_one(host, wish), given_back=restore_on_exit)
