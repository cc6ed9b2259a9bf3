"""What the sandbox's changes do to a release of swift; see edits.py."""

from __future__ import annotations

from devswap.sandbox.edits import Edit, replace_once
from devswap.sandbox.releases import Tree

# Of each daemon that looks after objects, the line by which it says for others to read that it has done so.
_SAID = {
    "auditor": "        dump_recon_cache({'object_auditor_stats_%s' % auditor_type: {}},\n",
    "expirer": "            dump_recon_cache({'object_expiration_pass': elapsed,\n",
    "reconstructor": "            'object_reconstruction_time': total,\n",
    "replicator": "            update = {'replication_stats': self.total_stats.to_recon(),\n",
    "updater": "            'object_updater_sweep': elapsed,\n",
}

SEEN_BY = "seen_by"
_NOTE = '''
    def _note_seen(self, conn):
        """
        Note who opens the database, in a column that comes to it by that.
        """
        table = {'account': 'account_stat',
                 'container': 'container_info'}[self.db_type]
        name = os.path.basename(sys.argv[0])
        try:
            row = conn.execute('SELECT seen_by FROM %s' % table).fetchone()
        except sqlite3.OperationalError as err:
            if 'no such column: seen_by' not in str(err):
                raise
            try:
                conn.execute(
                    "ALTER TABLE %s ADD COLUMN seen_by TEXT DEFAULT ''" % table)
            except sqlite3.OperationalError as err:
                if 'duplicate column' not in str(err):
                    raise
            row = conn.execute('SELECT seen_by FROM %s' % table).fetchone()
        if row and name not in row[0].split():
            conn.execute('UPDATE %s SET seen_by = ?' % table,
                         ('%s %s' % (row[0], name),))
            conn.commit()
'''


def note_who_opens_databases() -> Edit:
    """Each database of an account or a container gets a column with the names of the services that have opened it.

    As swift's own migrations come about: by the first that lacks the column.
    """

    def edit(tree: Tree) -> Tree:
        path = "swift/common/db.py"
        tree = replace_once(tree, path, "import os\nfrom uuid", "import os\nimport sys\nfrom uuid")
        opened = "        conn = self.conn\n        self.conn = None\n        try:\n"
        noted = f"{opened}            self._note_seen(conn)\n"
        tree = replace_once(tree, path, opened, noted)
        before = "    @contextmanager\n    def get(self):\n"
        return replace_once(tree, path, before, f"{_NOTE.lstrip(chr(10))}\n{before}")

    return edit


def mark_answers(mark: str) -> Edit:
    """Every answer of the proxy names who has answered; those with an object who has read it, and who has stored it.

    X-Proxy-Change is the proxy's and X-Object-Change the object server's, which the proxy passes on with its other
    headers; X-Object-Meta-Stored-By is kept with the object. What looks after objects has it in what swift-recon shows.
    """

    def edit(tree: Tree) -> Tree:
        answered = "            return self.handle_request(req)(env, start_response)\n"
        marked = (
            "            answer = self.handle_request(req)\n"
            f"            answer.headers['X-Proxy-Change'] = '{mark}'\n"
            "            return answer(env, start_response)\n"
        )
        tree = replace_once(tree, "swift/proxy/server.py", answered, marked)
        path = "swift/obj/server.py"
        sent = "        trans_time = time.time() - start_time\n        res.fix_conditional_response()\n"
        tree = replace_once(tree, path, sent, f"        res.headers['X-Object-Change'] = '{mark}'\n{sent}")
        for name, said in _SAID.items():
            named = said.replace("'object", f"'{name}_change': '{mark}', 'object", 1)
            named = named.replace("'replication", f"'{name}_change': '{mark}', 'replication", 1)
            tree = replace_once(tree, f"swift/obj/{name}.py", said, named)
        tag = "            'ETag': etag,\n"
        rest = "        }\n        metadata.update(val for val in request.headers.items()\n"
        kept = f"            'X-Object-Meta-Stored-By': '{mark}',\n"
        return replace_once(tree, path, tag + rest, tag + kept + rest)

    return edit
