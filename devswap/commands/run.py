"""devswap run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from devswap import (
    arguments,
    kept_runs,
    kept_terminal,
    locate,
    options,
    outcome,
    session,
    several,
    several_places,
    swap,
    way,
)
from devswap.commands import examples
from devswap.host import Host

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
    terminal: arguments.Terminal = None,
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
    host = session.open_host(wait=wait)
    hosted = detach and terminal is None and _is_hosted(host, services, machine)
    kept = options.keeps_terminal(detach=detach, terminal=terminal, apache=hosted, services=len(services))
    options.check(
        detach=detach,
        wait=wait,
        restore_on_exit=restore_on_exit,
        reload=reload,
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
    if len(services) > 1:
        options.check_several(reload=reload, debugger=debugger, listen=listen)
    if kept and not kept_terminal.is_inside():
        raise typer.Exit(kept_runs.begin(host, services))
    detach, foreground = detach and not kept, foreground or kept
    if len(services) > 1:
        runs = several.run(
            host,
            services,
            machine,
            detach=detach,
            foreground=foreground,
            restore_on_exit=restore_on_exit,
            take_over=take_over,
            changes=changes,
            kept=kept,
        )
        outcome.show_runs(host, services, runs, given_back=restore_on_exit)
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
        kept=kept,
    )
    outcome.show_run(host, services[0], ended, given_back=restore_on_exit)


def _is_hosted(host: Host, services: Sequence[str], machine: str | None) -> bool:
    """Whether a web server runs one of them, in which nobody has a terminal."""
    find = several_places.swapped if len(services) > 1 else locate.swap
    return any(way.is_under_web_server(find(host, name, machine).swap) for name in services)
