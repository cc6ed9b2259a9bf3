"""What would fail after production has stopped, and can be seen while it serves."""

from __future__ import annotations

import shlex

from devswap import database_users, development, owed, plan, ports, systemd, unit_environment, unit_file
from devswap.backends.local import Local
from devswap.configuration import Configuration
from devswap.deployment import Deployment
from devswap.errors import DevswapError, UsageError
from devswap.host import Host
from devswap.journal import Journal
from devswap.overlay import Overlay
from devswap.service import Service, Setting
from devswap.shared import Shelf
from devswap.steps import apache
from devswap.steps.apache import LetGo
from devswap.steps.database import SyncDatabase
from devswap.steps.unit import require_not_held
from devswap.tuning import UNCHANGED
from devswap.wish import Wish


def require_supported(service: Service, deployment: Deployment | None = None) -> None:
    """Raise for what is known to be impossible, unless the configuration of its `deployment` says otherwise."""
    if not service.unsupported or (deployment and _says(deployment, service.supported_where)):
        return
    raise DevswapError(
        f"cannot take {service.name} over yet: {service.unsupported}",
        hint=f"devswap list {service.name} shows what is known of it",
    )


def _says(deployment: Deployment, wanted: Setting | None) -> bool:
    if wanted is None:
        return False
    machine = deployment.machine
    return holds(
        wanted, Configuration.of(machine, deployment.config_files, unit_environment.of(machine, deployment.unit))
    )


def holds(wanted: Setting, options: Configuration) -> bool:
    """Whether what is wanted is set; of several groups in each, of none it is not."""
    if not wanted.of_each:
        return (options.get(wanted.group, wanted.option) or "").startswith(wanted.begins)
    values = [options.get(group, wanted.of_each) or "" for group in options.listed(wanted.group, wanted.option)]
    return bool(values) and all(value.startswith(wanted.begins) for value in values)


def require_possible(deployment: Deployment, wish: Wish, existing: Journal | None) -> None:
    """Raise for a way of running it that there is not for this deployment."""
    service, where = deployment.service.name, deployment.machine.name
    if deployment.machine.address == Local.address and deployment.user in ("root", "0"):
        raise DevswapError(
            f"cannot take {service} over: {deployment.unit} runs as root on this host itself, and so would a checkout",
            hint=f"let its unit have a User= of its own: systemctl edit {deployment.unit}",
        )
    if deployment.hosted is None:
        if deployment.service.web and deployment.service.web.hosted:
            by = "uWSGI" if deployment.uwsgi else f"a program of its own ({deployment.unit})"
            raise DevswapError(
                f"cannot take {service} over: {by} runs it in {where}, and only Apache with mod_wsgi can be told of the"
                " static files of a checkout",
                hint=f"devswap list {service} shows what was found of it, and where",
            )
        if wish.apache and not (deployment.uwsgi or deployment.front):
            raise UsageError(f"no web server runs {service} in {where}", hint="leave --apache out")
        return
    _require_possible_of_hosted(deployment, wish, existing)


def _require_possible_of_hosted(deployment: Deployment, wish: Wish, existing: Journal | None) -> None:
    """The same for what Apache runs."""
    service, where = deployment.service.name, deployment.machine.name
    if scripts := plan.of_productions_package(deployment):
        raise DevswapError(
            f"cannot take {service} of {where} over: Apache names {', '.join(scripts)}, which is among production's own"
            " packages and would run them, not the checkout",
            hint="have its WSGIScriptAlias name a file elsewhere that imports the application",
        )
    if wish.apache and (wrong := plan.not_alone_in_apache(deployment)):
        raise DevswapError(
            f"cannot run {service} of {where} under its web server with another Python: {wrong}",
            hint=f"on a terminal, or in the background: devswap checkout {service} {wish.ref} --detach",
        )
    if wish.install and plan.is_run_in_place(deployment):
        raise UsageError(f"Apache runs a file of {service}'s checkout itself, in place", hint="leave --install out")
    if wish.apache and wish.changes != UNCHANGED:
        raise UsageError(
            f"Apache runs {service} of {where}: it has no terminal to prompt on, and is told no options",
            hint=f"breakpoints, debuggers and --set are for a terminal: devswap checkout {service} {wish.ref}",
        )
    if not wish.apache and any(address.startswith("https") for address in deployment.addresses):
        raise DevswapError(
            f"cannot run {service} of {where} on a terminal: Apache does TLS for it",
            hint=f"under its web server: devswap checkout {service} {wish.ref} --apache",
        )
    if existing is not None and (existing.swap.unit == deployment.unit) != wish.apache:
        raise DevswapError(
            f"{service} in {where} is swapped in another way: --apache is for the first checkout to say",
            hint=f"devswap restore {existing.called}, then check out again",
        )


def require_ports(deployment: Deployment, wish: Wish) -> None:
    """Raise where a server of ours would not get the ports on which Apache runs the application."""
    if deployment.hosted is None or wish.apache:
        return
    unknown = filter(str.isdigit, plan.not_let_go(deployment))
    if kept := [port for port in unknown if ports.addresses(deployment.machine, int(port))]:
        service, where = deployment.service.name, deployment.machine.name
        raise DevswapError(
            f"cannot run {service} of {where} on a terminal: {deployment.unit} listens on port"
            f" {', '.join(sorted(kept))} by files that are not {service}'s alone",
            hint=f"under its web server: devswap checkout {service} {wish.ref} --apache",
        )


def require_own_sites(host: Host, deployment: Deployment) -> None:
    """Raise where another swap has covered the folder of this Apache's sites: that can be done once."""
    machine, hosted = deployment.machine, deployment.hosted
    if hosted is None or not apache.is_shown(machine, hosted.path):
        return
    covered = (machine.address, deployment.unit)
    for journal in host.journals.all():
        steps = [entry.step for entry in journal.entries if entry.step.get("kind") == LetGo.kind]
        if any((step.get("on"), step.get("unit")) == covered for step in steps):
            raise DevswapError(
                f"{deployment.unit} in {machine.name} lends its sites to {journal.swap.service}, and can do so once",
                hint=f"devswap restore {journal.called}, then check out again",
            )


def require_nothing_left(host: Host, deployment: Deployment) -> None:
    """Raise where an earlier swap was forgotten by hand, but not its capture: this one would take it for its own.

    Or not the drop-in that held production, or one that stands in its place by its user's word.
    """
    require_not_held(deployment.machine, deployment.unit)
    service, shelf = deployment.service.name, Shelf(host.state / "shared")
    name = host.journals.folder(service, deployment.machine.address).name
    for record in shelf.held_by(name):
        others = [host.journals.called(holder) for holder in record.holders if holder != name]
        raise DevswapError(
            f"a capture of the {record.name} is left of an earlier swap of {service}, whose journal is gone",
            hint=f"devswap restore {others[0]} first"
            if others
            else f"if the database is as it was: rm -r {shlex.quote(str(shelf.vault(record.name)))}",
        )


def require_not_stopped(host: Host, deployment: Deployment) -> None:
    """Raise where production is stopped by a load that was interrupted: that is not how it is to come back.

    The caller holds the claims of its databases, so that no load is under way.
    """
    shelf, on, unit = Shelf(host.state / "shared"), deployment.machine.address, deployment.unit
    stopped = [record for record in shelf.all() if database_users.are_stopped(shelf.vault(record.name), on, unit)]
    for journal in host.journals.all():
        held = any(journal.folder.name in record.holders for record in stopped)
        if held or owed.is_owed(host.cloud(journal).owed, on, unit):
            raise DevswapError(
                f"{unit} in {deployment.machine.name} was stopped for a load of its database, and does not run again",
                hint=f"devswap restore {journal.called}, then try again",
            )


def require_last_word(deployment: Deployment) -> None:
    """Raise where a drop-in of production would be read after ours and set its own command."""
    machine = deployment.machine
    for path in systemd.show(machine, deployment.unit, "DropInPaths")["DropInPaths"].split():
        later = path.rpartition("/")[2] > development.NAME
        if later and unit_file.values(machine.read_text(path) or "", "ExecStart"):
            raise DevswapError(
                f"cannot take {deployment.unit} in {machine.name} over: {path} sets ExecStart, and is read after ours",
                hint=f"give it a name before {development.NAME}",
            )


def scripts_of(built: Overlay) -> list[str]:
    return [path.name for path in (built.folder / "bin").iterdir()]


def require_scripts(deployment: Deployment, built: Overlay, sync: SyncDatabase | None, *, served: bool) -> None:
    """Raise where what production starts is not there to be started: found after the stop it would be an outage.

    `served`: the service's own script is not needed.
    """
    missing = plan.missing_scripts(deployment, scripts_of(built), sync)
    if served:
        missing = [name for name in missing if name not in plan.missing_scripts(deployment, (), None)]
    if missing:
        names = ", ".join(missing)
        raise DevswapError(
            f"the checkout has no script {names}, which {deployment.unit} in {deployment.machine.name} needs",
            hint="has the change renamed it? see console_scripts in its setup.cfg or pyproject.toml",
        )
