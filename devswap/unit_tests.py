"""Runs a project's own unit tests in a machine, beside production or beside a swap of it.

They have an overlay of their own, which holds what test-requirements.txt names besides: the one that serves is left
alone. They run as the service's user, without a network, on a file system that they can only read, but for a folder of
theirs that lies on the host. What is mounted for them is in a journal of its own: see testing.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from devswap import (
    development,
    locate,
    meant,
    overlay,
    overlay_of_swap,
    own_network,
    plan,
    systemd,
    testing,
    transaction,
)
from devswap.deployment import Deployment
from devswap.errors import UsageError
from devswap.host import Host
from devswap.journal import Journal
from devswap.libraries import Wanted
from devswap.overlay_request import read
from devswap.requirements import requirement_lines
from devswap.slot import Slot
from devswap.sources import Sources, gather
from devswap.steps.beside import RunBeside
from devswap.wish import MAKERS, Makers

STESTR, PYTEST = "stestr", "pytest"
RUNNERS = (STESTR, PYTEST)
# What only looks at the text of the code, and what only a whole cloud is tested with: half an index would come along.
# Projects have tests of their own checks, which need hacking.
_NOT_NEEDED = {"pylint", "bandit", "doc8", "pre-commit", "ruff", "mypy", "reno", "tempest"}
# A folder that reads like the checkout and can be written: stestr keeps what it has seen where it is started.
_RUN = """
import os, sys
checkout, folder, *argv = sys.argv[1:]
os.makedirs(folder, exist_ok=True)
for name in os.listdir(folder):
    if os.path.islink(os.path.join(folder, name)):
        os.unlink(os.path.join(folder, name))
for name in os.listdir(checkout):
    if name not in (".git", ".stestr", ".tox") and not os.path.lexists(os.path.join(folder, name)):
        os.symlink(os.path.join(checkout, name), os.path.join(folder, name))
os.chdir(folder)
os.execv(sys.executable, [sys.executable, "-m", *argv])
"""


def run(
    host: Host,
    service: str,
    machine: str | None,
    arguments: Sequence[str],
    *,
    ref: str | None,
    runner: str | None,
    typed: bool = False,
    makers: Makers = MAKERS,
) -> int:
    """The exit code of the tests of the swap's checkout, or of `ref`.

    `typed`: the arguments are all that the runner is told, its own command included (stestr's run, last, list).
    """
    if machine is None:
        machine = locate.of_only_swap(host, service)
    found = locate.one(host, host.catalogue().get(service), machine)
    existing = host.journals.find(service, found.machine.address)
    if ref is None and (existing is None or not existing.swap.checkout):
        raise UsageError(f"{service} is not swapped", hint=f"devswap test {service} --ref REF tests that, beside it")
    deployment = meant.examined(found, existing)
    with testing.claimed(host, service, found.machine.address):
        libraries = existing.swap.libraries if existing and ref is None else []
        sources = gather(
            host,
            deployment,
            ref or (existing.swap.checkout if existing else ""),
            remote=None,
            wanted=[Wanted(each["name"], each["checkout"]) for each in libraries],
            with_depends=False,
            fetch=makers.fetch,
        )
        chosen = runner or _runner(sources.checkout.path)
        with testing.journal(host, found, sources.checkout) as journal:
            place = _prepare(host, deployment, sources, journal, chosen, makers)
            told = _program(chosen) if typed else _invocation(chosen)
            return _tests(deployment, place, [*told, *arguments])


def _prepare(
    host: Host, deployment: Deployment, sources: Sources, journal: Journal, runner: str, makers: Makers
) -> Slot:
    """The overlay with what the tests need, mounted."""
    apart = replace(deployment, service=replace(deployment.service, name=_name(deployment)))
    place = plan.slot(_name(deployment), 1)
    request = replace(overlay_of_swap.request(host, deployment, sources), tools=_tools(sources.checkout.path, runner))
    built = overlay_of_swap.build(host, apart, journal, request, place, makers.build)
    uid, gid = overlay.ids(deployment.machine, deployment.user, deployment.group)
    mounts = overlay.mounts(built, request, place, cache=overlay_of_swap.cache(host), uid=uid, gid=gid)
    runs = RunBeside(deployment.machine.address, unit=_unit(deployment))
    steps = [*overlay_of_swap.mount_steps(deployment, mounts), runs]
    transaction.apply(steps, journal, host.cloud(journal))
    return place


def _name(deployment: Deployment) -> str:
    """What their unit and their folder in the machine are called."""
    return f"{deployment.service.name}-tests"


def _unit(deployment: Deployment) -> str:
    return f"devswap-{_name(deployment)}.service"


def _runner(checkout: Path) -> str:
    told = [read(checkout / name) for name in ("tox.ini", "pyproject.toml")]
    is_stestr = (checkout / ".stestr.conf").is_file() or any(
        "[stestr]" in text or "[tool.stestr]" in text for text in told
    )
    return STESTR if is_stestr else PYTEST


def _tools(checkout: Path, runner: str) -> tuple[str, ...]:
    """The lines of test-requirements.txt, and the runner."""
    found = {}
    for line in requirement_lines(read(checkout / "test-requirements.txt")):
        try:
            name = canonicalize_name(Requirement(line).name)
        except InvalidRequirement:
            continue
        if name not in _NOT_NEEDED:
            found[name] = line
    return (*found.values(), *([] if runner in found else [runner]))


def _invocation(runner: str) -> list[str]:
    return [*_program(runner), "run"] if runner == STESTR else _program(runner)


def _program(runner: str) -> list[str]:
    return [STESTR] if runner == STESTR else [PYTEST, "-p", "no:cacheprovider"]


def _tests(deployment: Deployment, place: Slot, argv: Sequence[str]) -> int:
    own = f"{place.bytecode}/tests"
    environment = {"PATH": f"{place.overlay}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": own, "LANG": "C.UTF-8"}
    properties: dict[str, str] | None = {
        "PrivateTmp": "yes",
        own_network.PRIVATE: "yes",
        "ProtectSystem": "strict",
        "ReadWritePaths": place.bytecode,
        "SendSIGHUP": "yes",
        "TimeoutStopSec": "5s",
    }
    code = 0
    while properties is not None:
        line = systemd.unit_argv(
            _unit(deployment),
            development.overriding([place.python, "-B", "-c", _RUN, place.checkout, own, *argv], environment),
            user=deployment.user,
            group=deployment.group,
            properties=properties,
        )
        shown = ["--pty" if word == "--pipe" and sys.stdin.isatty() else word for word in line]
        with deployment.machine.popen(shown, new_session=False) as process:
            code = process.wait()
        properties = own_network.otherwise(properties, code)
    return code
