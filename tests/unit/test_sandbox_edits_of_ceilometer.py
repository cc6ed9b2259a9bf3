"""What the sandbox's changes do to ceilometer, on lines as ceilometer has them, without the network."""

from __future__ import annotations

import pytest

from devswap.errors import DevswapError
from devswap.sandbox.edits_of_ceilometer import mark_samples
from devswap.sandbox.releases import SourceFile, Tree

_POLLING, _FILE = "ceilometer/polling/manager.py", "ceilometer/publisher/file.py"
_FILES = {
    _POLLING: (
        "                sample_dict = (\n"
        "                    publisher_utils.meter_message_from_counter(\n"
        "                        sample\n"
        "                    ))\n"
    ),
    _FILE: (
        "            for sample in samples:\n"
        "                if self.output_json:\n"
        "                    self.publisher_logger.info(json.dumps(sample.as_dict()))\n"
    ),
}


def a_tree() -> Tree:
    return {path: SourceFile(text.encode()) for path, text in _FILES.items()}


def test_each_of_two_agents_leaves_its_mark_on_a_sample_before_it_is_sent() -> None:
    texts = {path: file.content.decode() for path, file in mark_samples("mark-1")(a_tree()).items()}
    assert texts[_POLLING].index("'polled': 'mark-1'") < texts[_POLLING].index("sample_dict")
    assert texts[_FILE].index("'published': 'mark-1'") < texts[_FILE].index("as_dict")


def test_a_ceilometer_without_the_lines_is_an_error() -> None:
    tree = {**a_tree(), _FILE: SourceFile(b"another release\n")}
    with pytest.raises(DevswapError, match="has not exactly one"):
        mark_samples("mark-1")(tree)
