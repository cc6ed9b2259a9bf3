"""What the sandbox's changes do to swift, on lines as swift has them, without the network."""

from __future__ import annotations

import pytest

from devswap.errors import DevswapError
from devswap.sandbox.edits_of_swift import mark_answers, note_who_opens_databases
from devswap.sandbox.releases import SourceFile, Tree

_PROXY, _OBJECTS = "swift/proxy/server.py", "swift/obj/server.py"
_FILES = {
    _PROXY: "            return self.handle_request(req)(env, start_response)\n",
    _OBJECTS: (
        "            'ETag': etag,\n        }\n        metadata.update(val for val in request.headers.items()\n"
        "        trans_time = time.time() - start_time\n        res.fix_conditional_response()\n"
    ),
    "swift/obj/auditor.py": "        dump_recon_cache({'object_auditor_stats_%s' % auditor_type: {}},\n",
    "swift/obj/expirer.py": "            dump_recon_cache({'object_expiration_pass': elapsed,\n",
    "swift/obj/reconstructor.py": "            'object_reconstruction_time': total,\n",
    "swift/obj/replicator.py": "            update = {'replication_stats': self.total_stats.to_recon(),\n",
    "swift/obj/updater.py": "            'object_updater_sweep': elapsed,\n",
}


def a_tree() -> Tree:
    return {path: SourceFile(text.encode()) for path, text in _FILES.items()}


def test_each_of_two_servers_leaves_its_mark_and_one_of_them_for_good() -> None:
    texts = {path: file.content.decode() for path, file in mark_answers("mark-1")(a_tree()).items()}
    assert "answer.headers['X-Proxy-Change'] = 'mark-1'\n            return answer(" in texts[_PROXY]
    assert "res.headers['X-Object-Change'] = 'mark-1'\n        trans_time" in texts[_OBJECTS]
    assert "'ETag': etag,\n            'X-Object-Meta-Stored-By': 'mark-1',\n        }\n" in texts[_OBJECTS]


def test_what_looks_after_objects_says_so_with_its_mark() -> None:
    texts = {path: file.content.decode() for path, file in mark_answers("mark-1")(a_tree()).items()}
    for name in ("auditor", "expirer", "reconstructor", "replicator", "updater"):
        assert texts[f"swift/obj/{name}.py"].count(f"'{name}_change': 'mark-1', '") == 1


def test_a_database_is_altered_by_whoever_opens_it() -> None:
    lines = (
        "import os\nfrom uuid import uuid4\n    @contextmanager\n    def get(self):\n"
        "        conn = self.conn\n        self.conn = None\n        try:\n            yield conn\n"
    )
    path = "swift/common/db.py"
    tree = note_who_opens_databases()({path: SourceFile(lines.encode())})
    text = tree[path].content.decode()
    assert "import sys\n" in text
    assert text.endswith("        try:\n            self._note_seen(conn)\n            yield conn\n")
    assert text.index("    def _note_seen(self, conn):\n") < text.index("    @contextmanager\n    def get(self):\n")


def test_a_swift_without_the_lines_is_an_error() -> None:
    tree = {**a_tree(), _PROXY: SourceFile(b"another release\n")}
    with pytest.raises(DevswapError, match="has not exactly one"):
        mark_answers("mark-1")(tree)
