"""What the sandbox's changes do to cinder, on lines as cinder has them, without the network."""

from __future__ import annotations

import pytest

from devswap.errors import DevswapError
from devswap.sandbox.edits_of_cinder import mark_volumes
from devswap.sandbox.releases import SourceFile, Tree

_API, _SCHEDULER = "cinder/api/v3/views/volumes.py", "cinder/scheduler/manager.py"
_VOLUME = "cinder/volume/flows/manager/create_volume.py"
_BACKUP = "cinder/backup/manager.py"
_FILES = {
    _BACKUP: "            backup_options['availability_zone'] = self.az\n",
    _API: (
        "                'name': volume['display_name'],\n"
        "                'name': volume.get('display_name'),\n"
    ),
    _SCHEDULER: "        try:\n            flow_engine = create_volume.get_flow(context,\n",
    _VOLUME: (
        "            'launched_at': timeutils.utcnow(),\n        }\n"
        "        try:\n            # TODO(harlowja): is it?\n            volume.update(update)\n"
    ),
}  # fmt: skip


def a_tree() -> Tree:
    return {path: SourceFile(text.encode()) for path, text in _FILES.items()}


def test_each_of_three_services_leaves_its_mark_on_a_volume() -> None:
    texts = {path: file.content.decode() for path, file in mark_volumes("mark-1")(a_tree()).items()}
    assert "'%s (mark-1)' % volume.get('display_name'),\n" in texts[_API]
    assert texts[_BACKUP].endswith("self.az\n            backup_options['display_description'] = 'mark-1'\n")
    assert texts[_SCHEDULER].index("'scheduler': 'mark-1'") < texts[_SCHEDULER].index("get_flow")
    assert "'metadata': {**volume.metadata, 'volume': 'mark-1'},\n        }\n        try:\n" in texts[_VOLUME]


def test_a_cinder_without_the_lines_is_an_error() -> None:
    tree = {**a_tree(), _SCHEDULER: SourceFile(b"another release\n")}
    with pytest.raises(DevswapError, match="has not exactly one"):
        mark_volumes("mark-1")(tree)
