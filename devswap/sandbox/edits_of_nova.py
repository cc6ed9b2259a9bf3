"""What the sandbox's changes do to a release of nova; see edits.py."""

from __future__ import annotations

import re

from devswap.sandbox.edits import LICENCE, Edit, add_column, head_of, migration, replace_once
from devswap.sandbox.releases import SourceFile, Tree

_VERSION = re.compile(r"^SERVICE_VERSION = (\d+)$", re.MULTILINE)
# Of the history of versions, which must have one line for each.
_NEWEST = re.compile(r"^(    \{'compute_rpc': '[\d.]+'\},\n)\)$", re.MULTILINE)

# `import nova.privsep` would make a name of the function of the package that it uses.
_WRITES = """\
                    from nova.privsep import path as privileged
                    privileged.writefile('/var/lib/nova/instances/written', 'w', instance.display_name)
"""


def mark_servers(mark: str) -> Edit:
    """A server shows who made it what it is.

    The API has `mark` behind its name, the conductor and the compute service give it metadata, and the scheduler logs
    that it places it. The compute service has root write a file beside the servers as well, by privileged code that
    names itself, and a server that asks who it is is told who has said so. Proxies of consoles name themselves in
    what they answer to browsers.
    """

    def edit(tree: Tree) -> Tree:
        before = '                "metadata": self._get_metadata(instance),\n'
        name = '                "name": instance["display_name"]'
        path = "nova/api/openstack/compute/views/servers.py"
        tree = replace_once(tree, path, f"{before}{name},\n", f'{before}{name} + " ({mark})",\n')
        before = "                with obj_target_cell(instance, cell):\n"
        created = "                    instance.create()\n                    instances.append(instance)\n"
        given = _metadata("conductor", mark)
        tree = replace_once(tree, "nova/conductor/manager.py", before + created, before + given + created)
        before = "                    instance.vm_state = vm_states.BUILDING\n"
        spawned = "                    instance.task_state = task_states.SPAWNING\n"
        given = _metadata("compute", mark) + _WRITES
        tree = replace_once(tree, "nova/compute/manager.py", before + spawned, before + given + spawned)
        written = "        f.write(content)\n"
        named = written.replace("(content)", f"(content + ' by {mark}')")
        tree = replace_once(tree, "nova/privsep/path.py", written, named)
        told = "        metadata = {'uuid': self.uuid}\n"
        named = told.replace("}", f", 'said_by': '{mark}'}}")
        tree = replace_once(tree, "nova/api/metadata/base.py", told, named)
        path, last = "nova/console/websocketproxy.py", "    def send_head(self):\n"
        header = f"        self.send_header('X-Console-Change', '{mark}')\n        super().end_headers()\n\n"
        tree = replace_once(tree, path, last, f"    def end_headers(self):\n{header}{last}")
        placed = '        LOG.debug("Starting to schedule for instances: %s", instance_uuids)\n'
        said = f'        LOG.info("Placing %s by {mark}", ", ".join(instance_uuids or []))\n'
        return replace_once(tree, "nova/scheduler/manager.py", placed, placed + said)

    return edit


def _metadata(key: str, mark: str) -> str:
    return f"                    instance.metadata = {{**(instance.metadata or {{}}), '{key}': '{mark}'}}\n"


def raise_version_and_add_notes(of_cells: str, of_api: str) -> Edit:
    """The version of all services goes up, and a nullable column `note` comes to two tables, with their models.

    One is `services` of cell0 and each cell, the other `host_mappings` of the API's database.
    """

    def edit(tree: Tree) -> Tree:
        tree = _with_note(tree, "main", of_cells, "services", "    version = sa.Column(sa.Integer, default=0)\n")
        last = "    host = sa.Column(sa.String(255), nullable=False)\n\n    cell_mapping = orm"
        tree = _with_note(tree, "api", of_api, "host_mappings", last)
        return _with_next_version(tree)

    return edit


def _with_next_version(tree: Tree) -> Tree:
    path = "nova/objects/service.py"
    text = tree[path].content.decode()
    (version,), (newest,) = _VERSION.findall(text), _NEWEST.findall(text)
    number = f"\nSERVICE_VERSION = {version}\n"
    tree = replace_once(tree, path, number, f"\nSERVICE_VERSION = {int(version) + 1}\n")
    said = f"    # Version {int(version) + 1}: Services have notes\n"
    return replace_once(tree, path, f"{newest})\n", f"{newest}{said}{newest})\n")


def _with_note(tree: Tree, database: str, revision: str, table: str, after: str) -> Tree:
    folder = f"nova/db/{database}/migrations/versions/"
    head, _ = head_of({path: file for path, file in tree.items() if path.startswith(folder)}, "nova")
    down = f"    op.drop_column('{table}', 'note')"
    text = migration(f"Add note column to {table} table", revision, head, add_column(table), down)
    tree = {**tree, f"{folder}{revision}_add_note_to_{table}.py": SourceFile((LICENCE + text).encode())}
    first, rest = after.split("\n", 1)
    column = f"{first}\n    note = sa.Column(sa.String(255), nullable=True)\n{rest}"
    return replace_once(tree, f"nova/db/{database}/models.py", after, column)
