"""What the sandbox's changes do to a release of swift; see edits.py."""

from __future__ import annotations

from devswap.sandbox.edits import Edit, replace_once
from devswap.sandbox.releases import Tree


def mark_answers(mark: str) -> Edit:
    """Every answer of the proxy names who has answered; those with an object who has read it, and who has stored it.

    X-Proxy-Change is the proxy's and X-Object-Change the object server's, which the proxy passes on with its other
    headers; X-Object-Meta-Stored-By is kept with the object.
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
        tag = "            'ETag': etag,\n"
        rest = "        }\n        metadata.update(val for val in request.headers.items()\n"
        kept = f"            'X-Object-Meta-Stored-By': '{mark}',\n"
        return replace_once(tree, path, tag + rest, tag + kept + rest)

    return edit
