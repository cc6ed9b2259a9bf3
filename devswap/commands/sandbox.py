"""devswap sandbox up, down, status."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from devswap import arguments, console, sandbox, session
from devswap.commands import examples
from devswap.sandbox.additions import ADDITIONS, additions_of

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


class Era(StrEnum):
    """Which layout of OpenStack-Ansible."""

    CURRENT = "current"
    Y2015 = "2015"


_ERA = typer.Option("--era", help="Whose layout: today's, or that of 2015 (on systemd).")


_WITH = f"And this besides: {'; '.join(f'{each.name} ({each.what})' for each in ADDITIONS.values())}. Repeatable."


@app.callback(
    epilog=examples(
        "devswap sandbox up",
        "devswap sandbox up --era 2015",
        "devswap sandbox down --purge",
    )
)
def group() -> None:
    """Build a small real all-in-one to try devswap on.

    LXC containers as OpenStack-Ansible lays them out, with MariaDB, RabbitMQ, two Keystones, Heat, HAProxy, a package
    repository and a git server with changes to try. It disturbs no other cloud of this host.
    """


@app.command(
    epilog=examples(
        "devswap sandbox up",
        "devswap sandbox up --era 2015",
        "devswap sandbox up --with glance",
        "devswap sandbox up --all",
    )
)
def up(
    era: Annotated[Era, _ERA] = Era.CURRENT,
    with_: Annotated[list[str] | None, typer.Option("--with", metavar="PROJECT", help=_WITH)] = None,
    everything: Annotated[bool, typer.Option("--all", help="And all of these that the era can have.")] = False,  # noqa: FBT002
) -> None:
    """Build the sandbox, or start it, or go on where an interrupted one stopped.

    Keystone and Heat are always there; what was added to it stays.
    """
    session.open_host()
    additions = (*(with_ or ()), *(additions_of(era.value) if everything else ()))
    built = sandbox.up(era=era.value, additions=additions, say=console.say)
    rows = [(name, address) for name, address in built.containers.items()]
    console.show_table(("CONTAINER", "ADDRESS"), rows)
    state = "was up already" if built.already else f"is up after {built.seconds:.0f} s"
    print(f"\nthe sandbox of era {built.era} {state}, and takes {built.memory >> 20} MiB of memory")
    print(f"the cloud's credentials: {built.credentials}. Next:")
    for command in built.next_commands:
        print(f"  {command}")


@app.command(
    epilog=examples(
        "devswap sandbox down",
        "devswap sandbox down --purge",
    )
)
def down(
    era: Annotated[Era, _ERA] = Era.CURRENT,
    purge: Annotated[bool, typer.Option("--purge", help="The cache of packages and images too.")] = False,  # noqa: FBT002
) -> None:
    """Remove the sandbox; only the cache stays, for the next one to be quick."""
    session.open_host()
    gone = sandbox.down(era=era.value, purge=purge, say=console.say)
    print(f"removed {len(gone.removed)} containers" + (" and the cache" if gone.purged else ""))


@app.command(
    epilog=examples(
        "devswap sandbox status",
        "devswap sandbox status --json",
    )
)
def status(
    as_json: arguments.AsJson = False,  # noqa: FBT002
) -> None:
    """Show which sandboxes this host has."""
    session.open_host()
    found = sandbox.status()
    if as_json:
        console.show_json({"sandboxes": [asdict(each) for each in found]})
        return
    if not found:
        print("there is no sandbox; devswap sandbox up builds one")
    for each in found:
        print(f"{each.era}: {each.network} on {each.bridge}, {'complete' if each.complete else 'unfinished'}")
        rows = [(one.name, one.address, "running" if one.running else "stopped") for one in each.containers]
        console.show_table(("CONTAINER", "ADDRESS", "STATE"), rows)
