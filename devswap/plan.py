"""What a takeover does to machines, as a list of steps: pure data, so that it can be printed before it is done."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from devswap import apache, configuration, development, uwsgi
from devswap.apache import Host
from devswap.database_parts import Part
from devswap.database_source import Source
from devswap.deployment import MODULE, Deployment
from devswap.development import Command
from devswap.service import Database, Service
from devswap.slot import NOTHING, Made, Slot
from devswap.sqlite_files import SqliteFiles
from devswap.steps.apache import LetGo, PointSite, RefreshFront
from devswap.steps.database import SYNC_SECONDS, SyncDatabase
from devswap.steps.sqlite import KeepSqlite
from devswap.steps.step import Step
from devswap.steps.unit import HoldUnit, OwnUnit, RunDevelopment
from devswap.steps.values import PutBackValues

_LOW = 1024
_PACKAGES = re.compile("/(site|dist)-packages/")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def slot(service: str, number: int) -> Slot:
    """Where one checkout with its overlay appears in the machine; a second checkout gets the next number."""
    folder = f"{development.folder(service)}/{number}"
    return Slot(checkout=f"{folder}/checkout", overlay=f"{folder}/overlay")


def command(deployment: Deployment, place: Slot, made: Made = NOTHING, *, served_at: str = "") -> Command:
    """Production's own command with the overlay's interpreter and script, and settings that suit a terminal.

    With `served_at` the application is served there from its module, as one that Apache runs is: see own_server.py.
    """
    path = deployment.environment.get("PATH", _PATH)
    environment = {
        **deployment.service.environment,
        **deployment.service.one_worker,
        "PATH": f"{place.overlay}/bin:{path}",
        "PYTHONUNBUFFERED": "1",
    }
    told, on_terminal = deployment.uwsgi, tuple[str, ...]()
    if deployment.hosted:
        served = [f"{address}={script}" for address, script in _served(deployment, place)]
        served += [f"{url}={folder}" for url, folder in made.aliases.items()]
        environment |= {"PYTHONPATH": made.python} if made.python else {}
        argv = [f"{place.overlay}/bin/python", "-m", "_devswap_serve", *served]
    elif served_at and told is None:
        program = f"{served_at}={place.checkout}/{module_file(deployment.service)}"
        arguments = deployment.command[2:] if deployment.command[0] == MODULE else deployment.command[1:]
        argv = [*_as_its_user(deployment), f"{place.overlay}/bin/python", "-m", "_devswap_serve", program, "--"]
        argv += arguments
    elif told is None:
        argv = [*_as_its_user(deployment), f"{place.overlay}/bin/python", *_program(deployment, place)]
        on_terminal = deployment.service.on_terminal
    else:
        script = f"{place.overlay}/bin/{_name(told.script)}" if told.script else None
        script = f"{place.checkout}/{module_file(deployment.service)}" if served_at else script
        argv = uwsgi.development(told, place.overlay, environment, script=script)
    simple = deployment.forks or (bool(served_at) and told is None)  # devswap's own server tells systemd nothing
    return Command(tuple(argv), environment, simple=simple, on_terminal=on_terminal)


def _as_its_user(deployment: Deployment) -> list[str]:
    """A unit may start its program as root, which leaves that by itself: a checkout begins after that."""
    group = deployment.leaves_root
    if group is None:
        return []
    return ["/usr/bin/setpriv", f"--reuid={deployment.user}", f"--regid={group}", "--init-groups", "--"]


def _program(deployment: Deployment, place: Slot) -> tuple[str, ...]:
    script, *arguments = deployment.command
    return ("-m", *arguments) if script == MODULE else (f"{place.overlay}/bin/{_name(script)}", *arguments)


def _served(deployment: Deployment, place: Slot) -> Iterator[tuple[str, str]]:
    """(address, file of the application) of each host in which Apache runs it, with the overlay's own files."""
    scripts = _overlay_scripts(deployment, place)
    for host in _hosts(deployment):
        assert host.script is not None  # noqa: S101 - that is how they were found
        for address in host.addresses:
            yield address.replace("_default_", "*"), scripts.get(host.script, host.script)


def _hosts(deployment: Deployment) -> tuple[Host, ...]:
    assert deployment.hosted is not None  # noqa: S101 - only asked of what Apache runs
    service = deployment.service
    return apache.read(deployment.hosted.text).running(service.project, service.name)


def _overlay_scripts(deployment: Deployment, place: Slot) -> dict[str, str]:
    """Production's application files that development has its own of, and where.

    Scripts of the virtualenv are the overlay's; the service's module, which some name as a file, is the checkout's.
    """
    own, found = f"{deployment.interpreter.virtualenv}/bin/", {}
    for script in filter(None, (host.script for host in _hosts(deployment))):
        if script.startswith(own):
            found[script] = f"{place.overlay}/bin/{_name(script)}"
        elif script in _modules(deployment):
            found[script] = f"{place.checkout}/{module_file(deployment.service)}"
    return found


def of_productions_package(deployment: Deployment) -> list[str]:
    """Application files that Apache reads among production's own packages, and that no checkout has in their place.

    They find the package beside them, whatever they are run by.
    """
    scripts = [host.script for host in _hosts(deployment) if host.script] if deployment.hosted else []
    known = _modules(deployment)
    return [script for script in scripts if _PACKAGES.search(script) and script not in known]


def not_alone_in_apache(deployment: Deployment) -> str:
    """Why what Apache runs cannot be given another Python by itself; empty where it can."""
    assert deployment.hosted is not None  # noqa: S101 - only asked of what Apache runs
    site, hosts = apache.read(deployment.hosted.text), _hosts(deployment)
    own = {site.processes(host) for host in hosts}
    if None in own:
        return "Apache's own processes run it"
    others = [host.script for host in site.hosts if host not in hosts and host.script and site.processes(host) in own]
    return f"{others[0]} runs in the same processes" if others else ""


def is_run_in_place(deployment: Deployment) -> bool:
    """Whether the web server runs a file of the checkout itself, which finds its own package beside it."""
    return deployment.hosted is not None and any(host.script in _modules(deployment) for host in _hosts(deployment))


def _modules(deployment: Deployment) -> list[str]:
    """Where production's module of the application would be."""
    module = module_file(deployment.service)
    return [f"{folder}/{module}" for folder in deployment.interpreter.site_folders] if module else []


def module_file(service: Service) -> str:
    """The file of the module that holds the application, in a checkout or a folder of packages; empty without one."""
    return f"{service.web.module.replace('.', '/')}.py" if service.web and service.web.module else ""


def missing_scripts(deployment: Deployment, scripts: Collection[str], sync: SyncDatabase | None) -> list[str]:
    """The scripts that the swap will start but the overlay, which has `scripts`, lacks: a change may rename its own."""
    started = [_name(script)] if (script := _script(deployment)) else []
    started += [_name(command[1]) for command in sync.commands] if sync else []
    return [name for name in dict.fromkeys(started) if name not in scripts]


def _script(deployment: Deployment) -> str | None:
    """The file of production's that its start needs in the overlay, too."""
    if deployment.uwsgi is not None:
        return deployment.uwsgi.script
    script = deployment.command[0]
    if deployment.hosted and not script.startswith(f"{deployment.interpreter.virtualenv}/bin/"):
        return None
    return script if script != MODULE else None


def _name(script: str) -> str:
    return script.rpartition("/")[2]


def unit_of(deployment: Deployment, *, in_apache: bool) -> str:
    """The unit that runs development: production's own, unless that is one of others."""
    own = deployment.hosted is not None and not in_apache
    return development.own_unit(deployment.service.name) if own else deployment.unit


def takeover(
    deployment: Deployment,
    drop_in: str,
    place: Slot,
    *,
    between: Sequence[Step],
    in_apache: bool = False,
    made: Made = NOTHING,
) -> list[Step]:
    """From production serving to the gate open for development; `between` is what comes on the way."""
    on, name = deployment.machine.address, deployment.service.name
    unit = unit_of(deployment, in_apache=in_apache)
    held = HoldUnit(on, service=name, unit=unit, text=drop_in)
    if deployment.hosted is None:
        front = [refresh(deployment)] if deployment.front else []
        return [*front, held, *between, run_step(deployment, place, in_apache=False)]
    low = any(port.isdigit() and int(port) < _LOW for port in apache.ports(_hosts(deployment)))
    own = OwnUnit(on, service=name, unit=unit, user=deployment.user, group=deployment.group, low_ports=low)
    return [
        *([] if in_apache else [own, held]),
        _let_go(deployment, served_elsewhere=not in_apache),
        *between,
        run_step(deployment, place, in_apache=in_apache, made=made),
    ]


def run_step(deployment: Deployment, place: Slot, *, in_apache: bool, made: Made = NOTHING) -> Step:
    """What lets development run."""
    on, name, hosted = deployment.machine.address, deployment.service.name, deployment.hosted
    if hosted is None or not in_apache:
        return RunDevelopment(on, service=name, unit=unit_of(deployment, in_apache=False))
    scripts = _overlay_scripts(deployment, place)
    text = apache.pointed(apache.read(hosted.text), _hosts(deployment), place.overlay, scripts, made)
    before = _let_go(deployment, served_elsewhere=False).text
    return PointSite(on, service=name, unit=deployment.unit, path=hosted.path, text=text, before=before)


def _let_go(deployment: Deployment, *, served_elsewhere: bool) -> LetGo:
    """Apache itself goes on listening by its other files: until it runs the overlay, or else not where it is freed."""
    hosted, hosts = deployment.hosted, _hosts(deployment)
    assert hosted is not None  # noqa: S101 - only asked of what Apache runs
    site = apache.read(hosted.text)
    others = hosted.listening if served_elsewhere else ()
    said = apache.listens(site).union(*(apache.listens(apache.read(text)) for _, text in others))
    free = apache.freed(site, hosts)
    return LetGo(
        deployment.machine.address,
        service=deployment.service.name,
        unit=deployment.unit,
        path=hosted.path,
        text=apache.without(site, hosts),
        ports=tuple(port for port in apache.ports(hosts) if port in free & said),
        others=tuple((path, apache.silenced(text, free)) for path, text in others),
    )


def not_let_go(deployment: Deployment) -> set[str]:
    """The ports of what Apache runs that it would not let go of for a server of ours."""
    return set(apache.ports(_hosts(deployment))) - set(_let_go(deployment, served_elsewhere=True).ports)


def refresh(deployment: Deployment) -> RefreshFront:
    """For an application with a web server before it."""
    front, web = deployment.front, deployment.service.web
    assert front is not None  # noqa: S101
    assert web is not None  # noqa: S101 - else nothing is in front of it
    return RefreshFront(
        deployment.machine.address,
        unit=front.unit,
        behind=deployment.unit,
        python=deployment.interpreter.path,
        user=deployment.user,
        addresses=deployment.addresses,
        ask=web.path,
    )


def sync_database(
    deployment: Deployment,
    place: Slot,
    source: Source,
    users: tuple[tuple[str, str], ...],
    digest: str,
    *,
    others: tuple[Source, ...] = (),
    seconds: float = SYNC_SECONDS,
) -> SyncDatabase:
    """The project's migration commands, run from the overlay as the service's user."""
    database = deployment.service.database
    assert database is not None  # noqa: S101 - only asked for services that have one
    listed = database.index.listed_sync if database.index and any(each.listed for each in others) else ()
    return SyncDatabase(
        on=deployment.machine.address,
        service=deployment.service.name,
        project=deployment.service.project,
        source=source,
        commands=_from_overlay(deployment, place, _sync(database, others)),
        user=deployment.user,
        group=deployment.group,
        environment=tuple(sorted(deployment.service.environment.items())),
        users=users,
        digest=digest,
        seconds=seconds,
        others=tuple(map(Part, others)),
        listed=_from_overlay(deployment, place, listed),
        units=tuple(f"{name}.service" for name in database.units),
    )


def _from_overlay(
    deployment: Deployment, place: Slot, commands: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    named = [word for file in _named_files(deployment) for word in ("--config-file", file)]
    return tuple(
        (f"{place.overlay}/bin/python", f"{place.overlay}/bin/{tool}", *named, *arguments)
        for tool, *arguments in commands
    )


def _sync(database: Database, others: Sequence[Source]) -> tuple[tuple[str, ...], ...]:
    """The API's comes first, where there is one: the cells are found through it."""
    own = database.index
    has = own is not None and any((own.group, own.option) == (each.group, each.option) for each in others)
    return (*own.sync, *database.sync) if own is not None and has else database.sync


def put_back_values(deployment: Deployment, sources: tuple[Source, ...]) -> PutBackValues | None:
    """Where newer code leaves values that production's does not start beside; None for most projects."""
    database = deployment.service.database or deployment.service.records
    if database is None or database.put_back is None:
        return None
    on, wanted = deployment.machine.address, database.put_back
    return PutBackValues(on, sources, table=wanted.table, key=wanted.key, column=wanted.column)


def keep_sqlite(deployment: Deployment, files: SqliteFiles, services: Iterable[Service]) -> KeepSqlite:
    """`services` are all that are known: those that have the same files open them, too."""
    own, on = deployment.service, deployment.machine.address
    same = [each for each in services if (each.project, each.sqlite) == (own.project, own.sqlite)]
    names = [deployment.unit, *(f"{name}.service" for each in same for name in each.units)]
    return KeepSqlite(on, service=own.name, stored=files, users=tuple((on, name) for name in dict.fromkeys(names)))


def _named_files(deployment: Deployment) -> tuple[str, ...]:
    """Where production names its files, the migration must read the same; else the tool finds the usual ones itself."""
    if any(word.startswith(("--config-file", "--config-dir")) for word in deployment.command):
        return deployment.config_files
    named = configuration.named_in(deployment.environment, deployment.service.config)
    return tuple(path for path in named if "paste" not in _name(path))  # nova names its api-paste.ini as well
