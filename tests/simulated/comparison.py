"""What two states of the simulated world have in common: the questions that every crash test ends with."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

from tests.simulated.cloud import SimulatedCloud
from tests.simulated.files import File, Files, Folder, Link, Node, Pipe
from tests.simulated.snapshot import Snapshot, World


def differences(cloud: SimulatedCloud, before: Snapshot) -> list[str]:
    """One line for each fact of the machines and the database that is not as it was, and for what is still noted."""
    was, now = dict(_facts(pickle.loads(before.world))), dict(_facts(cloud.world))
    lines = [
        f"{name}: was {was.get(name, 'absent')}, is {now.get(name, 'absent')}"
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    ]
    journals = sorted(str(path.relative_to(cloud.state)) for path in cloud.state.glob("swaps/*/journal.json"))
    shared = sorted(str(path.relative_to(cloud.state)) for path in cloud.state.glob("shared/*/record.json"))
    return lines + [f"left on the disk: {name}" for name in (*journals, *shared)]


def _facts(world: World) -> Iterator[tuple[str, str]]:
    for name, machine in world.machines.items():
        for path, content in _tree(machine.files):
            yield f"{name}: {path}", content
        yield f"{name}: mounts", ", ".join(f"{each.source} on {each.target}" for each in machine.files.mounts)
        yield f"{name}: HAProxy", str(machine.haproxy.servers if machine.haproxy is not None else {})
        for unit, found in machine.init.units.items():
            if found.active != "inactive":
                yield f"{name}: {unit}", f"{found.active} {found.argv}"
        for unit, loaded in machine.init.loaded.items():
            if machine.init.is_enabled(unit) or machine.init.unit(unit).active != "inactive":
                yield f"{name}: {unit} in memory", f"{loaded.drop_ins} {loaded.settings}"
    for host, server in world.servers.items():
        for schema_name, schema in server.schemas.items():
            yield f"{host}: statements at work on {schema_name}", str(schema.working)
            for table_name, table in schema.tables.items():
                yield f"{host}: {schema_name}.{table_name}", f"({table.columns}) {table.rows}"


def _tree(files: Files) -> Iterator[tuple[str, str]]:
    yield from _nodes(files.root, "")


def _nodes(node: Node, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Folder):
        for name, inner in node.names.items():
            yield from _nodes(inner, f"{path}/{name}")
        if path.startswith("/run/devswap") or path.endswith(".d"):
            yield path, "folder"
    elif isinstance(node, File):
        yield path, f"{node.mode:o} {node.content!r}"
    elif isinstance(node, Link):
        yield path, f"-> {node.target}"
    elif isinstance(node, Pipe):
        yield path, "named pipe"
