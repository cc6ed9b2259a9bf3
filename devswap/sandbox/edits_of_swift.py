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
