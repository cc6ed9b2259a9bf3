"""How an editor attaches to a service that runs with debugpy: said, and written where it looks for it."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from devswap import plan, ports, process
from devswap.errors import CommandFailed, DevswapError
from devswap.host import Host
from devswap.invoker import UserHome
from devswap.journal import Swap
from devswap.process import Result
from devswap.tuning import Tuning

_FILE = "launch.json"


def entry(swap: Swap) -> dict[str, Any]:
    """An entry of VS Code's launch.json."""
    address, _, port = Tuning.read(swap.tuning).listen.rpartition(":")
    place = plan.slot(swap.service, swap.slot)
    mapped = {swap.checkout: place.checkout}
    mapped |= {str(each["checkout"]): place.library(str(each["folder"])) for each in swap.libraries}
    return {
        "name": f"devswap: {swap.service}",
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": address, "port": int(port)},
        "pathMappings": [{"localRoot": here, "remoteRoot": there} for here, there in mapped.items()],
        "justMyCode": False,
        "subProcess": True,
    }


def told(swap: Swap) -> str:
    """What a person needs to attach."""
    wanted = entry(swap)
    connect = wanted["connect"]
    mapped = ", ".join(f"{each['localRoot']} = {each['remoteRoot']}" for each in wanted["pathMappings"])
    return (
        f"VS Code, {_FILE}: {json.dumps(wanted, indent=2)}\n"
        f"PyCharm, attach with debugpy: {connect['host']}:{connect['port']}, path mapping {mapped}"
    )


def tell(host: Host, swap: Swap) -> None:
    """How to attach to what is about to wait for that; written where it is wanted."""
    if not Tuning.read(swap.tuning).listen:
        return
    taken = _taken(host, swap)
    host.say(taken or told(swap))
    if not taken:
        _write(host, swap)


def tell_truth(host: Host, swap: Swap) -> None:
    """The same of what serves: only now is it known whether its own debugpy listens there, and not somebody else."""
    tuning = Tuning.read(swap.tuning)
    if not tuning.listen:
        return
    if not _listens(host, swap):
        host.say(_taken(host, swap) or _deaf(swap))
    elif not tuning.waits_for_client:  # else it was told before, and somebody has attached
        host.say(told(swap))
        _write(host, swap)


def _listens(host: Host, swap: Swap) -> bool:
    """Whether the service's own processes do."""
    address, _, port = Tuning.read(swap.tuning).listen.rpartition(":")
    return (address, int(port)) in ports.own(host.machine(swap.machine), swap.unit)


def _taken(host: Host, swap: Swap) -> str:
    """That somebody else has the port; empty where nobody has."""
    port, machine = Tuning.read(swap.tuning).listen.rpartition(":")[2], host.machine(swap.machine)
    if int(port) not in ports.taken(machine) or _listens(host, swap):
        return ""
    return (
        f"debugpy does not listen in {swap.service}: somebody else in {machine.name} has port {port}; "
        f"devswap run {swap.service} --machine {swap.machine} --listen ADDRESS:PORT names another one"
    )


def _deaf(swap: Swap) -> str:
    return (
        f"debugpy does not listen in {swap.service}: it makes way for eventlet, or its log says why not; "
        f"devswap checkout {swap.service} {swap.ref} --debugger pudb (or pdb) works all the same"
    )


def _write(host: Host, swap: Swap) -> None:
    folder = Tuning.read(swap.tuning).launch_folder
    if not folder:
        return
    try:
        host.say(f"wrote {write(swap, folder, host.home())}")
    except DevswapError as error:
        host.say(f"{error.message}")


def merged(text: str, wanted: dict[str, Any]) -> str:
    """`text` of a launch.json with the entry `wanted` in the place of the one of its name.

    Raises ValueError for what is no plain JSON: a file with comments would lose them.
    """
    found: dict[str, Any] = json.loads(text) if text.strip() else {"version": "0.2.0"}
    others = [each for each in found.get("configurations", []) if each.get("name") != wanted["name"]]
    return json.dumps({**found, "configurations": [*others, wanted]}, indent=4) + "\n"


def write(swap: Swap, folder: str, home: UserHome) -> Path:
    """Write it into launch.json in `folder`, which is looked for in the checkout; as its user, like an editor would.

    Raises DevswapError where that cannot be done.
    """
    path = Path(swap.checkout) / folder / _FILE

    def run(*argv: str, given: str | None = None, ok: Collection[int] = (0,)) -> Result:
        return process.run(argv, input=given, ok=ok, env=home.environment(), cwd="/", identity=home.identity)

    try:
        run("mkdir", "-p", "--", str(path.parent))
        there = run("test", "-e", str(path), ok=(0, 1)).code == 0
        text = run("cat", "--", str(path)).stdout if there else ""
        run("tee", "--", str(path), given=merged(text, entry(swap)))
    except CommandFailed as error:
        raise DevswapError(f"cannot write {path}: {error.result.tail}") from error
    except (ValueError, AttributeError, TypeError) as error:
        raise DevswapError(
            f"cannot add to {path}: it is no plain JSON ({error})", hint="copy the entry into it"
        ) from error
    return path
