"""A server that speaks Gerrit's REST as far as devswap asks it."""

from __future__ import annotations

import http.server
import json
import threading
import urllib.parse
from types import TracebackType
from typing import Any


class Gerrit:
    """Serves on loopback while it is entered; `asked` are the queries that came, answered once `ready` is set."""

    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.answers = True
        self.ready = threading.Event()
        self.ready.set()
        gerrit = self

        class Rest(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = gerrit.answer(self.path)
                gerrit.ready.wait()
                self.send_response(200 if found is not None else 503)
                self.send_header("Content-Type", "application/json; charset=UTF-8")
                self.end_headers()
                self.wfile.write(found or b"")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rest)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def add(
        self,
        number: int,
        project: str,
        *,
        status: str = "NEW",
        change_id: str = "",
        patchset: int = 1,
        commit: str = "c0ffee",
    ) -> None:
        self.changes.append(
            {
                "_number": number,
                "project": project,
                "branch": "master",
                "subject": f"Change {number}",
                "status": status,
                "change_id": change_id,
                "owner": {"_account_id": 7, "name": "Ada"},
                "current_revision": commit,
                "revisions": {commit: {"_number": patchset}},
            }
        )

    def answer(self, path: str) -> bytes | None:
        address = urllib.parse.urlsplit(path)
        assert address.path == "/changes/"
        query = urllib.parse.parse_qs(address.query)
        operator, _, wanted = query["q"][0].partition(":")
        self.asked.append(wanted)
        if operator == "commit":
            found = [each for each in self.changes if each["current_revision"].startswith(wanted)]
        else:
            found = [each for each in self.changes if wanted in (str(each["_number"]), each["change_id"])]
        if "DETAILED_ACCOUNTS" not in query["o"]:
            found = [{**each, "owner": {"_account_id": 7}} for each in found]
        return b")]}'\n" + json.dumps(found).encode() if self.answers else None

    def __enter__(self) -> Gerrit:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ready.set()
        self._server.shutdown()
        self._server.server_close()
