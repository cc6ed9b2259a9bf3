"""What the sandbox's changes do to a release of cinder; see edits.py."""

from __future__ import annotations

from devswap.sandbox.edits import Edit, replace_once
from devswap.sandbox.releases import Tree


def mark_volumes(mark: str) -> Edit:
    """A volume shows who made it what it is, and a backup who has taken it in.

    The API has `mark` behind a volume's name; the scheduler and the volume service give it metadata. The service of
    backups describes one by it whose record is imported.
    """

    def edit(tree: Tree) -> Tree:
        name = "                'name': volume.get('display_name'),\n"
        shown = f"                'name': '%s ({mark})' % volume.get('display_name'),\n"
        tree = replace_once(tree, "cinder/api/v3/views/volumes.py", name, shown)
        first = "        try:\n            flow_engine = create_volume.get_flow(context,\n"
        given = f"        volume.metadata = {{**volume.metadata, 'scheduler': '{mark}'}}\n        volume.save()\n"
        tree = replace_once(tree, "cinder/scheduler/manager.py", first, given + first)
        launched = "            'launched_at': timeutils.utcnow(),\n"
        metadata = f"            'metadata': {{**volume.metadata, 'volume': '{mark}'}},\n"
        updated = "        }\n        try:\n            # TODO(harlowja)"
        taken_in = "            backup_options['availability_zone'] = self.az\n"
        described = f"            backup_options['display_description'] = '{mark}'\n"
        tree = replace_once(tree, "cinder/backup/manager.py", taken_in, taken_in + described)
        path = "cinder/volume/flows/manager/create_volume.py"
        return replace_once(tree, path, launched + updated, launched + metadata + updated)

    return edit
