"""devswap haproxy show, narrow, widen."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from devswap import arguments, console, narrowing, session, swap
from devswap.commands import examples

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

_SERVICE = typer.Argument(metavar="SERVICE", help="As devswap list shows it, or a backend's own name.")
_MACHINE = typer.Option("--machine", metavar="ADDRESS", help="HAProxy's machine or a server, if in several.")


@app.callback(
    epilog=examples(
        "devswap haproxy show keystone",
        "devswap haproxy narrow keystone --to aio1-keystone-container-8480f25d",
        "devswap haproxy widen keystone",
    )
)
def group() -> None:
    """Show or narrow whom HAProxy sends a service's requests to.

    HAProxy is found by its process, on this host or in a machine. A checkout narrows by itself, and restore widens.
    """


@app.command(epilog=examples("devswap haproxy show keystone", "devswap haproxy show galera-back --json"))
def show(
    service: Annotated[str, _SERVICE],
    machine: Annotated[str | None, _MACHINE] = None,
    as_json: arguments.AsJson = False,  # noqa: FBT002
) -> None:
    """Show a service's servers: role, state, weight, last check, sessions."""
    servers = narrowing.show(session.open_host(), service, machine)
    if as_json:
        console.show_json({"servers": [asdict(server) for server in servers]})
        return
    rows = [
        (
            server.backend,
            server.server,
            server.address,
            server.role,
            server.state,
            str(server.weight),
            server.last_check or "-",
            str(server.sessions),
        )
        for server in servers
    ]
    console.show_table(("BACKEND", "SERVER", "ADDRESS", "ROLE", "STATE", "WEIGHT", "LAST CHECK", "SESSIONS"), rows)


@app.command(
    epilog=examples(
        "devswap haproxy narrow keystone --to aio1-keystone-container-8480f25d",
        "devswap haproxy narrow keystone --to aio1-keystone-container-8480f25d --exclusive",
    )
)
def narrow(
    service: Annotated[str, _SERVICE],
    to: Annotated[str | None, typer.Option("--to", metavar="MACHINE", help="Who gets the requests.")] = None,
    exclusive: Annotated[  # noqa: FBT002
        bool, typer.Option("--exclusive", help="The others are taken out, instead of being backups.")
    ] = False,
    yes: arguments.Yes = False,  # noqa: FBT002
) -> None:
    """Let one server take all requests; the others are its backups."""
    done = narrowing.narrow(session.open_host(yes=yes), service, to=to, exclusive=exclusive)
    role = "are out" if done.exclusive else "take over if it fails"
    print(f"{service}: {done.to} takes the requests; {', '.join(done.others)} {role}")
    print(f"  back: devswap haproxy widen {service}")


@app.command(epilog=examples("devswap haproxy widen keystone"))
def widen(
    service: Annotated[str, _SERVICE],
    machine: Annotated[str | None, _MACHINE] = None,
    take_over: Annotated[bool, typer.Option("--take-over", help="Even if another user narrowed it.")] = False,  # noqa: FBT002
) -> None:
    """Let all servers take requests again, as before the narrowing."""
    host = session.open_host_to_restore()
    if not narrowing.is_narrowed(host, service):
        print(f"{service} is not narrowed; its servers take requests as HAProxy's files say")
        return
    done = swap.restore(host, narrowing.find(host, service, machine), take_over=take_over)
    print(f"{service}: its servers take requests as before: {done.told}")
