"""Makes a swapped checkout ready to run once more."""

from __future__ import annotations

from devswap import database_claims, import_check, plan, transaction
from devswap.errors import DevswapError
from devswap.host import Host
from devswap.journal import Journal
from devswap.steps.unit import require_unedited


def refresh(host: Host, journal: Journal) -> None:
    """Before another run: the code must still come from the checkout; after a reboot nothing is mounted any more."""
    swap = journal.swap
    machine = host.machine(swap.machine)
    if not machine.is_running():
        raise DevswapError(f"{machine.name} is stopped", hint=f"lxc-start -n {machine.name}")
    require_unedited(machine, swap.unit)
    place = plan.slot(swap.service, swap.slot)
    if place.checkout not in machine.mounted(place.checkout):
        host.say(f"{machine.name} was restarted: doing the steps of the swap again")
        with database_claims.held(host, journal, "run"), host.changing() as changed:
            transaction.repeat(journal, changed.cloud(journal))
    import_check.check_origin(
        machine,
        place,
        unit=f"devswap-{swap.service}-check.service",
        user=swap.deployment["user"],
        group=swap.deployment["group"],
        package=swap.package,
        installed=swap.installed,
        libraries={name: library["folder"] for library in swap.libraries for name in library["packages"]},
    )
