"""`python -m devswap.sandbox up|down|status`: the sandbox on its own, without the rest of devswap."""

from __future__ import annotations

import argparse
import sys
import time

from devswap.errors import DevswapError
from devswap.sandbox import down, status, up
from devswap.sandbox.additions import ADDITIONS, additions_of
from devswap.sandbox.eras import ERAS


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m devswap.sandbox", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--era", choices=list(ERAS), default="current")
    parser.add_argument(
        "--with", action="append", default=[], choices=list(ADDITIONS), dest="additions", help="up: and this besides"
    )
    parser.add_argument("--all", action="store_true", dest="everything", help="up: and all that the era can have")
    parser.add_argument("--purge", action="store_true", help="down: remove the cache too")
    return parser.parse_args(arguments)


def _print_up(era: str, additions: list[str]) -> None:
    began = time.monotonic()
    say = lambda text: print(f"{time.monotonic() - began:6.1f} s  {text}", file=sys.stderr)  # noqa: E731
    built = up(era=era, additions=additions, say=say)
    for name, address in built.containers.items():
        print(f"{address:<16} {name}")
    state = "is up already" if built.already else f"is up after {built.seconds:.0f} s"
    state += f", in {built.memory / 2**20:.0f} MiB of memory"
    print(f"the {built.era} sandbox {state}; credentials: {built.credentials}; next:")
    for command in built.next_commands:
        print(f"  {command}")


def _print_status() -> None:
    for sandbox in status():
        print(
            f"{sandbox.era}: {sandbox.network} on {sandbox.bridge}, {'complete' if sandbox.complete else 'unfinished'}"
        )
        for container in sandbox.containers:
            print(f"  {container.address:<16} {container.name}  {'running' if container.running else 'stopped'}")


def main(arguments: list[str]) -> int:
    """The exit code: 0 done, else the error's own."""
    options = _parse(arguments)
    try:
        if options.command == "up":
            everything = additions_of(options.era) if options.everything else ()
            _print_up(options.era, [*options.additions, *everything])
        elif options.command == "down":
            gone = down(era=options.era, purge=options.purge, say=lambda text: print(text, file=sys.stderr))
            print(f"removed {len(gone.removed)} containers")
        else:
            _print_status()
    except DevswapError as error:
        print(f"{error.message}\n  {error.hint or ''}".rstrip(), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
