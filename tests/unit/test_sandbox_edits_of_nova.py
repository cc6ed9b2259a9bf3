"""What the sandbox's changes do to nova, on lines as nova has them, without the network."""

from __future__ import annotations

import pytest

from devswap.errors import DevswapError
from devswap.sandbox.edits_of_nova import mark_servers, raise_version_and_add_notes
from devswap.sandbox.releases import SourceFile, Tree

_SERVICE = """SERVICE_VERSION = 72
SERVICE_VERSION_HISTORY = (
    {'compute_rpc': '6.5'},
    # Version 72: Compute RPC v6.5:
    {'compute_rpc': '6.5'},
)
"""
_MAIN, _API = "nova/db/main/", "nova/db/api/"
_FILES = {
    "nova/objects/service.py": f"\n{_SERVICE}",
    f"{_MAIN}models.py": "    version = sa.Column(sa.Integer, default=0)\n",
    f"{_MAIN}migrations/versions/aa_first.py": "revision = 'aa'\ndown_revision = None\n",
    f"{_MAIN}migrations/versions/bb_second.py": "revision = 'bb'\ndown_revision = 'aa'\n",
    f"{_API}models.py": "    host = sa.Column(sa.String(255), nullable=False)\n\n    cell_mapping = orm.x()\n",
    f"{_API}migrations/versions/cc_first.py": "revision = 'cc'\ndown_revision = None\n",
    "nova/api/openstack/compute/views/servers.py": (
        '                "name": instance["display_name"],\n'
        '                "metadata": self._get_metadata(instance),\n'
        '                "name": instance["display_name"],\n'
    ),
    "nova/conductor/manager.py": (
        "                with obj_target_cell(instance, cell):\n"
        "                    instance.create()\n"
        "                    instances.append(instance)\n"
    ),
    "nova/compute/manager.py": (
        "                    instance.vm_state = vm_states.BUILDING\n"
        "                    instance.task_state = task_states.SPAWNING\n"
    ),
    "nova/privsep/path.py": "    with open(path, mode) as f:\n        f.write(content)\n",
    "nova/scheduler/manager.py": '        LOG.debug("Starting to schedule for instances: %s", instance_uuids)\n',
    "nova/api/metadata/base.py": "        metadata = {'uuid': self.uuid}\n",
    "nova/console/websocketproxy.py": "    def send_head(self):\n        pass\n",
}


def a_tree() -> Tree:
    return {path: SourceFile(text.encode()) for path, text in _FILES.items()}


def test_each_service_leaves_its_mark() -> None:
    tree = mark_servers("mark-1")(a_tree())
    changed = {path for path, file in tree.items() if b"mark-1" in file.content}
    assert {path.split("/")[1] for path in changed} == {
        "api",
        "conductor",
        "compute",
        "console",
        "privsep",
        "scheduler",
    }
    assert b"self.send_header('X-Console-Change', 'mark-1')" in tree["nova/console/websocketproxy.py"].content
    shown = tree["nova/api/openstack/compute/views/servers.py"].content
    assert shown.count(b'instance["display_name"],\n') == 1  # a list is not a server
    assert b"{'uuid': self.uuid, 'said_by': 'mark-1'}" in tree["nova/api/metadata/base.py"].content
    assert b"content + ' by mark-1'" in tree["nova/privsep/path.py"].content
    assert b"privileged.writefile(" in tree["nova/compute/manager.py"].content
    made = tree["nova/conductor/manager.py"].content
    assert made.index(b"mark-1") < made.index(b"instance.create()")


def test_the_databases_of_cells_and_of_the_api_get_a_migration_behind_their_newest_each() -> None:
    tree = raise_version_and_add_notes("of cells", "of the api")(a_tree())
    for folder, revision, newest, table in (
        (_MAIN, "of cells", "bb", "services"),
        (_API, "of the api", "cc", "host_mappings"),
    ):
        text = tree[f"{folder}migrations/versions/{revision}_add_note_to_{table}.py"].content.decode()
        assert f"revision = '{revision}'\ndown_revision = '{newest}'\n" in text
        assert f"op.add_column('{table}'" in text
        assert tree[f"{folder}models.py"].content.count(b"note = sa.Column") == 1


def test_the_version_of_services_goes_up_with_its_history() -> None:
    text = raise_version_and_add_notes("x", "y")(a_tree())["nova/objects/service.py"].content.decode()
    assert "\nSERVICE_VERSION = 73\n" in text
    assert text.count("'compute_rpc'") == _SERVICE.count("'compute_rpc'") + 1


def test_a_nova_without_the_lines_is_an_error() -> None:
    tree = {**a_tree(), "nova/scheduler/manager.py": SourceFile(b"another release\n")}
    with pytest.raises(DevswapError, match="has not exactly one"):
        mark_servers("mark-1")(tree)
