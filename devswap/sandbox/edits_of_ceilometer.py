"""What the sandbox's changes do to a release of ceilometer; see edits.py."""

from __future__ import annotations

from devswap.sandbox.edits import Edit, replace_once
from devswap.sandbox.releases import Tree


def mark_samples(mark: str) -> Edit:
    """The metadata of a sample name who polled it, and who published it to a file."""

    def edit(tree: Tree) -> Tree:
        first = "                sample_dict = (\n                    publisher_utils.meter_message_from_counter(\n"
        tree = replace_once(tree, "ceilometer/polling/manager.py", first, _marked("polled", mark) + first)
        before = "            for sample in samples:\n"
        written = "                if self.output_json:\n                    self.publisher_logger.info(json"
        path = "ceilometer/publisher/file.py"
        return replace_once(tree, path, before + written, before + _marked("published", mark) + written)

    return edit


def _marked(what: str, mark: str) -> str:
    added = f"'{what}': '{mark}'"
    return f"                sample.resource_metadata = {{**(sample.resource_metadata or {{}}), {added}}}\n"
