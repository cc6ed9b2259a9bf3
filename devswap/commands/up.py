"""devswap up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from devswap import arguments, kept_runs, kept_terminal, libraries, options, outcome, session, several, swap, tree_file
from devswap.commands import examples
from devswap.tree_file import TreeFile
from devswap.tuning import Changes
from devswap.wish import Wish

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog=examples(
        "devswap up",
        "devswap up ~/src/heat --detach",
        "devswap up --dry-run",
    )
)
def up(
    tree: Annotated[Path, typer.Argument(metavar="[TREE]", help="Your working tree; default: where you are.")] = Path(),
    machine: arguments.Machine = None,
    yes: arguments.Yes = False,  # noqa: FBT002
    detach: Annotated[
        bool | None, typer.Option("--detach/--foreground", help="In the background or not, whatever the file says.")
    ] = None,
    terminal: arguments.Terminal = None,
    take_over: arguments.TakeOver = False,  # noqa: FBT002
    wait: arguments.Wait = None,
    dry_run: arguments.DryRun = False,  # noqa: FBT002
) -> None:
    """Take over what devswap.toml in your tree names.

    As devswap checkout SERVICE... TREE, with the services and the options that the file has: services = ["heat-api",
    "heat-engine"], and detach, reload, debug, workers, set, break and others.
    """
    host = session.open_host(yes=yes, wait=wait)
    told = tree_file.read(tree_file.find(tree.absolute()), host.home())
    background = told.flag("detach") if detach is None else detach
    kept = options.keeps_terminal(detach=background, terminal=terminal, services=len(told.services)) and not dry_run
    restores = told.flag("restore_on_exit") and not background
    reload = told.flag("reload") and (kept or not background)
    options.check(detach=background, wait=wait, restore_on_exit=restores, reload=reload, kept=kept)
    services = list(told.services)
    if len(services) > 1:
        options.check_several(reload=reload, debugger=None, listen=None)
    if kept and not kept_terminal.is_inside():
        raise typer.Exit(kept_runs.begin(host, services))
    wish = Wish(
        service=services[0],
        ref=str(told.folder),
        machine=machine,
        remote=None,
        detach=background and not kept,
        foreground=detach is False or kept,
        kept=kept,
        restore_on_exit=restores,
        snapshot=told.flag("snapshot"),
        take_over=take_over,
        libraries=tuple(map(libraries.parse, told.words("with"))),
        with_depends=told.flag("with_depends"),
        changes=_changes(told),
        reload=reload,
        narrow=told.flag("narrow", default=True),
        only=told.flag("only"),
    )
    if dry_run:
        for planned in several.planned(host, services, wish) if len(services) > 1 else [swap.plan(host, wish)]:
            outcome.show_plan(planned, as_json=False)
    elif len(services) > 1:
        outcome.show_runs(host, services, several.checkout(host, services, wish), given_back=restores)
    else:
        outcome.show_run(host, services[0], several.checkout_one(host, wish), given_back=restores)


def _changes(told: TreeFile) -> Changes:
    return options.changes(
        settings=[f"{name}={value}" for name, value in told.options.get("set", {}).items()],
        unset=None,
        debug=told.flag("debug"),
        workers=told.options.get("workers"),
        stops=told.words("break"),
        no_break=False,
        post_mortem=told.options.get("post_mortem"),
        debugger=None,
        listen=None,
        wait_for_client=None,
        write_launch=None,
    )
