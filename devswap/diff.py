"""What the checkout of a swapped service changes against production's version of the project."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from devswap import diff_commits, diff_files, diff_options, diff_validator, locate, plan
from devswap.diff_commits import Commits, Installed
from devswap.diff_files import File
from devswap.diff_options import Options
from devswap.diff_validator import Validation
from devswap.errors import DevswapError
from devswap.git import of_checkout
from devswap.host import Host
from devswap.journal import Swap
from devswap.machine import Machine
from devswap.service import Service


@dataclass(frozen=True)
class Difference:
    """`commits`, `options` and `validation` are None where they cannot be told; `notes` say why."""

    service: str
    machine: str
    ref: str
    production: str
    """The version of the project that production has installed."""
    commits: Commits | None
    files: list[File]
    options: Options | None
    validation: Validation | None
    notes: list[str]


def of(host: Host, service: str, machine: str | None) -> Difference:
    """Looks only; raises DevswapError where the service is not swapped, or production's packages cannot be seen."""
    swap = locate.swap(host, service, machine).swap
    if not swap.checkout:
        raise DevswapError(f"{swap.service} has no checkout: only its traffic was moved", hint="devswap status")
    here = host.machine(swap.machine)
    known = host.catalogue().get(swap.service)
    installed = diff_commits.installed(here, swap.deployment["interpreter"]["site_folders"], known.distribution)
    git = of_checkout(host.home(), Path(swap.checkout))
    base = diff_commits.base(git, installed)
    notes = [] if base else [_unknown(installed, swap)]
    replaced = [
        *(each["name"] for each in swap.libraries),
        *(each["package"] for each in swap.overlay.get("packages", ())),
    ]
    options, validation, why = _options(here, swap, known, [known.distribution, *replaced])
    folders = list(dict.fromkeys(path.rpartition("/")[0] for path in known.config))
    return Difference(
        service=swap.service,
        machine=swap.machine,
        ref=swap.ref,
        production=installed.version,
        commits=diff_commits.since(git, base) if base else None,
        files=diff_files.compared(here, git, base.commit if base else None, folders),
        options=options,
        validation=validation,
        notes=[*notes, *why],
    )


def _unknown(installed: Installed, swap: Swap) -> str:
    named = f"{installed.version} ({installed.sha})" if installed.sha else installed.version
    return (
        f"production's version {named} is neither a tag nor a commit that {swap.checkout} has: "
        "git fetch --tags there may help"
    )


def _options(
    machine: Machine, swap: Swap, known: Service, distributions: list[str]
) -> tuple[Options | None, Validation | None, list[str]]:
    """Asked of both interpreters; development's is there only while its overlay is mounted."""
    if not known.oslo_config:
        return None, None, [f"{known.project} has no options of oslo.config, so none are compared"]
    place = plan.slot(swap.service, swap.slot)
    if place.overlay not in machine.mounted(place.overlay):
        return None, None, [f"the overlay is not mounted, so options are not compared: devswap run {swap.service}"]
    told = swap.deployment
    try:
        before = diff_options.listed(machine, swap, told["interpreter"]["path"], distributions)
        after = diff_options.listed(machine, swap, place.python, distributions)
    except DevswapError as error:
        return None, None, [f"options are not compared: {error.message}"]
    found = diff_options.compared(before, after, diff_options.set_in(machine, told["config_files"]))
    validation, notes = None, ["production has no oslo-config-validator, so its files are not validated"]
    try:
        validation = diff_validator.of(machine, swap, told["interpreter"]["path"], place.python)
    except DevswapError as error:
        notes = [f"production's files are not validated: {error.message}"]
    if validation is not None:
        notes = []
    return (
        found,
        validation,
        [*notes, *(f"the options of {name} are not compared: {why}" for name, why in found.failed.items())],
    )
