"""The command line: reads it, and turns errors into messages and exit codes. Nothing else exits."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import shlex
import signal
import sys
import time
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from devswap import __version__, console
from devswap.errors import DevswapError, Interrupted, UsageError

# Name and first line of every command, so that `--help` need not import them; a test holds them against the commands.
COMMANDS = {
    "list": "Show what can be swapped here.",
    "checkout": "Take a service over with a checkout.",
    "up": "Take over what devswap.toml in your tree names.",
    "run": "Start a swapped service again, after an edit.",
    "attach": "Come back to the terminal of a service that runs in the background.",
    "status": "Show what is swapped, and whether it serves.",
    "restore": "Bring production back, and prove it.",
    "plan": "Show what checkout would do, without doing it.",
    "diff": "Show what the checkout changes against production's version.",
    "edit": "Edit a file of /etc for development alone.",
    "shell": "Open a shell beside a swapped service.",
    "exec": "Run a command beside a swapped service.",
    "test": "Run the project's own unit tests in the machine.",
    "logs": "Show the log of a service.",
    "dump": "Show what a running service is doing.",
    "haproxy": "Show or narrow whom HAProxy sends a service's requests to.",
    "doctor": "Check whether this host is ready.",
    "sandbox": "Build a small real all-in-one to try devswap on.",
}


_ONE_INTERRUPT = 1.0
"""Seconds within which several signals are one."""


class _Commands(TyperGroup):
    """Imports a command's module when it is called: `devswap --help` and `devswap list` stay quick."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(f"devswap.commands.{cmd_name}").app)
        command.name = cmd_name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise UsageError(
                f"there is no command {args[0]!r}", hint=f"devswap {near[0]}" if near else "devswap --help shows them"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted") from error


app = typer.Typer(
    cls=_Commands,
    rich_markup_mode=None,  # rich's help costs more than everything else that --help does
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A first try, without a cloud: devswap sandbox up. Each command shows examples with --help.",
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it
    if wanted:
        print(f"devswap {__version__}")
        raise typer.Exit


@app.callback()
def devswap(
    version: Annotated[  # noqa: FBT002
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take one production OpenStack service over with a checkout, and give it back exactly."""


def main() -> NoReturn:
    """The `devswap` script."""
    # Checkouts and overlays are read by the service's user; what is private is made so by name.
    os.umask(0o022)
    _open_what_is_closed()
    _listen()
    sys.exit(_flushed(_code()))


def _code() -> int:
    try:
        app(prog_name="devswap")
    except SystemExit as ended:  # as click says it
        return ended.code if isinstance(ended.code, int) else 0
    except DevswapError as error:
        console.show_error(error)
        return error.exit_code
    except Exception as error:
        console.show_error(_explained(error), error)
        return 1
    return 0


def _open_what_is_closed() -> None:
    """Else a file of ours would be number 1 or 2 (2>&-), and get what is meant for whoever reads."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: open(2)
            os.set_inheritable(opened, True)  # noqa: FBT003 - what we start has the same need of it
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - for as long as we live
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _flushed(code: int) -> int:
    """Whatever cannot be written (a reader that has gone, a full disk) hides no failure: Python would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            code = code or 1
    return code


def _listen() -> None:
    """A lost terminal, a plain kill and Ctrl-\\ are rolled back like Ctrl-C. What nohup had ignored stays ignored."""
    heard = -_ONE_INTERRUPT

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal heard
        # The kernel and the shell both hang up on a lost terminal: the second must not cut the rollback of the first.
        again, heard = time.monotonic() - heard < _ONE_INTERRUPT, time.monotonic()
        if not again:
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interrupt)


def _explained(error: Exception) -> DevswapError:
    """A disk that takes nothing is for the user to mend, else it is a fault of ours, and its story is in the log."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = error.filename2 or error.filename
        disk = f" {shlex.quote(os.path.dirname(where))}" if where else ""
        return DevswapError(
            f"cannot write{f' {where}' if where else ''}: no space left",
            hint=f"df -h{disk} shows which disk is full; make room there, and try again",
        )
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        disk = f" {shlex.quote(os.path.dirname(error.filename))}" if error.filename else ""
        return DevswapError(
            f"cannot write{f' {error.filename}' if error.filename else ''}: its file system can only be read",
            hint=f"findmnt --target{disk or ' /var/lib'} shows it; the kernel may say why: dmesg",
        )
    return DevswapError(f"unexpected {type(error).__name__}: {error}", hint="devswap status")


if __name__ == "__main__":
    main()
