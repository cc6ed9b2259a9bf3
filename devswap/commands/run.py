"""devswap run."""

from __future__ import annotations

from typing import Annotated

import typer

from devswap import arguments, kept_terminal, options, outcome, session, several, swap
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap run heat-engine",
        "devswap run heat-engine --detach",
        "devswap run heat-api heat-engine",
        "devswap run heat-engine --set database.max_pool_size=5 --workers 2 --post-mortem",
        "devswap run heat-engine --break 'heat/engine/service.py:890 if stack_name == \"blue\"'",
    )
)
def run(
    services: Annotated[list[str], typer.Argument(metavar="SERVICE...", help="A swapped one; several of one project.")],
    machine: arguments.Machine = None,
    detach: arguments.Detach = False,  # noqa: FBT002
    foreground: arguments.Foreground = False,  # noqa: FBT002
    terminal: arguments.Terminal = False,  # noqa: FBT002
    restore_on_exit: arguments.RestoreOnExit = False,  # noqa: FBT002
    take_over: arguments.TakeOver = False,  # noqa: FBT002
    wait: arguments.Wait = None,
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
) -> None:
    """Start a swapped service again, after an edit of its checkout.

    On this terminal, or under its web server where it was taken over with --apache.
    """
    if terminal and not kept_terminal.is_inside():
        options.check_terminal(detach=detach)
        raise typer.Exit(kept_terminal.run_here(session.open_host(), services))
    detach = detach and not terminal
    options.check(
        detach=detach,
        wait=None if terminal else wait,
        restore_on_exit=restore_on_exit,
        reload=reload,
        foreground=foreground,
    )
    foreground = foreground or terminal  # this run has one
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
    host = session.open_host(wait=wait)
    if len(services) > 1:
        options.check_several(reload=reload, debugger=debugger, listen=listen)
        runs = several.run(
            host,
            services,
            machine,
            detach=detach,
            foreground=foreground,
            restore_on_exit=restore_on_exit,
            take_over=take_over,
            changes=changes,
        )
        outcome.show_runs(services, runs, given_back=restore_on_exit)
        return
    ended = swap.run(
        host,
        services[0],
        machine,
        detach=detach,
        foreground=foreground,
        restore_on_exit=restore_on_exit,
        take_over=take_over,
        changes=changes,
        reload=reload,
    )
    outcome.show_run(host, services[0], ended, given_back=restore_on_exit)
