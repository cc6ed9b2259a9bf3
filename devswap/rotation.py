"""Moves traffic in a running HAProxy: another configuration is loaded so that no request is lost on the way.

The order: what leaves the rotation is drained, the files are checked and replaced, HAProxy loads them, and what the new
process cannot know from its files it is told over its socket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from devswap import haproxy_edits, haproxy_socket
from devswap.balancer import Balancer
from devswap.errors import DevswapError
from devswap.haproxy import Server
from devswap.haproxy_edits import Edit
from devswap.machine import Machine

DRAIN_SECONDS = 30.0
_ALONE_SECONDS = 5.0
"""Where nobody else takes the requests, waiting for a long one costs all the others."""
ANSWER_SECONDS = 60.0
_QUESTION_SECONDS = 10.0
_GREETING_SECONDS = 0.5
_POLL = 0.1


@dataclass(frozen=True)
class Change:
    """What the files become, and who so comes into the rotation and who leaves it."""

    texts: Mapping[str, str]
    """Only those that change."""
    strange: tuple[tuple[str, str], ...]
    """(file, line) that somebody else has changed; they stay as they are."""
    coming: tuple[Server, ...]
    leaving: tuple[Server, ...]


def plan(balancer: Balancer, edits: Sequence[Edit], others: Sequence[Edit] = ()) -> Change:
    """`others` are the sums of other swaps' edits: what they want stays."""
    files = balancer.files()
    texts, strange = dict[str, str](), list[tuple[str, str]]()
    for path, text in (*files, *balancer.fragments()):
        own = [edit for edit in edits if edit.path == path]
        changed, wrong = haproxy_edits.edited(text, own, others)
        strange += [(path, line) for line in wrong]
        if changed != text:
            texts[path] = changed
    known = {path for path, _ in (*files, *balancer.fragments())}
    strange += [(edit.path, edit.section) for edit in edits if edit.path not in known]
    before = balancer.understood(files)
    after = balancer.understood([(path, texts.get(path, text)) for path, text in files])
    pairs = [(was, now) for now in after.servers if (was := before.server(now.key)) is not None]
    return Change(
        texts=texts,
        strange=tuple(dict.fromkeys(strange)),
        coming=tuple(now for was, now in pairs if was.disabled and not now.disabled),
        leaving=tuple(was for was, now in pairs if now.disabled and not was.disabled),
    )


def is_loaded(balancer: Balancer, backends: Sequence[str]) -> bool:
    """Whether the process that serves has what the files say of these backends; False where it cannot be asked."""
    rows, states = balancer.rows(), balancer.states()
    servers = balancer.configuration().of_backends(backends)
    return all(
        server.key in rows
        and server.key in states
        and rows[server.key].is_backup == server.backup
        and states[server.key].loaded_disabled == server.disabled
        for server in servers
    )


def require_valid(balancer: Balancer, change: Change) -> None:
    """Raises DevswapError with the files as they were where HAProxy would not load the change; it is staged then."""
    complaint = balancer.complaint(change.texts)
    if complaint is not None:
        balancer.clear(change.texts)
        where = balancer.machine.name
        raise DevswapError(f"cannot change HAProxy's configuration in {where}: haproxy -c refuses it\n{complaint}")


def load(
    balancer: Balancer,
    change: Change,
    *,
    say: Callable[[str], None],
    aside: Callable[[], AbstractContextManager[None]],
) -> None:
    """The change that was just checked, which has staged it; who leaves was drained, where HAProxy can be told so."""
    before = balancer.states()
    told = balancer.can_be_told
    balancer.put(change.texts)
    balancer.reload()
    but = {server.key for server in (*change.coming, *change.leaving)}
    balancer.tell(*haproxy_socket.carried_over(before, balancer.states(), but=but))
    if told:
        put_in(balancer, change.coming)
    else:
        with aside():
            _wait_for_end(balancer, change.leaving, say)


def put_in(balancer: Balancer, servers: Sequence[Server]) -> None:
    """At once: HAProxy's own checks would take their time to believe in them."""
    for server in servers:
        balancer.tell(haproxy_socket.set_state(server.key, "ready"))
        balancer.tell(haproxy_socket.set_health(server.key, up=True))


def believe(balancer: Balancer, servers: Sequence[Server]) -> None:
    """Have HAProxy believe in those that it thinks are down, and that answer: by its own checks it takes a while."""
    rows = balancer.rows()
    for server in servers:
        row = rows.get(server.key)
        if row is not None and row.status.startswith("DOWN") and answers(balancer.machine, server):
            balancer.tell(haproxy_socket.set_health(server.key, up=True))


def drain(balancer: Balancer, servers: Sequence[Server], *, say: Callable[[str], None]) -> None:
    """Until `put_in`, or a reload by anybody, they get no request; returns when those under way have ended."""
    balancer.tell(*(haproxy_socket.set_state(server.key, "drain") for server in servers))
    _wait_for_end(balancer, servers, say)


def _wait_for_end(balancer: Balancer, servers: Sequence[Server], say: Callable[[str], None]) -> None:
    """Until no request is under way in the servers any more, in whichever process of HAProxy."""
    seconds = DRAIN_SECONDS if all(has_peer(balancer, server) for server in servers) else _ALONE_SECONDS
    deadline = time.monotonic() + seconds
    for server in servers:
        while (left := _sessions(balancer, server)) > 0:
            if time.monotonic() > deadline:
                say(f"{left} sessions of {server.key} had not ended after {seconds:.0f} s")
                break
            time.sleep(_POLL)


def _sessions(balancer: Balancer, server: Server) -> int:
    """Those that the process knows, or connections that no process of it keeps idle."""
    row = balancer.rows().get(server.key)
    sessions, idle = (row.sessions, row.idle) if row is not None else (0, 0)
    return max(sessions, balancer.connections(server) - idle)


def has_peer(balancer: Balancer, server: Server) -> bool:
    """Whether another one of its backend takes requests, or will once it gets none."""
    rows = [row for row in balancer.rows().values() if row.backend == server.backend and row.server != server.name]
    return any(row.status.startswith(("UP", "no check")) for row in rows)


# --- does a server answer --------------------------------------------------------------------------------------------


def answers(machine: Machine, server: Server) -> bool:
    """By a request of its own, from HAProxy's network: an open port is no service, and HAProxy's UP may be old."""
    if server.port is None:
        return True  # nobody can be asked: HAProxy's checks must do
    where = f"{server.host}:{server.port}"
    if not server.http:
        try:
            machine.converse(where, "", seconds=_GREETING_SECONDS, tls=server.tls)
        except TimeoutError:
            return True  # it listens, and waits for us to speak
        except OSError:
            return False
        return True
    request = f"GET / HTTP/1.0\r\nHost: {server.host}\r\nUser-Agent: devswap\r\nConnection: close\r\n\r\n"
    try:
        said = machine.converse(where, request, seconds=_QUESTION_SECONDS, tls=server.tls)
    except OSError:
        return False
    status = said.partition("\n")[0].split()[1:2]
    return bool(status) and status[0].isdigit() and int(status[0]) < 500


def wait_until_it_answers(machine: Machine, server: Server, *, given_up: Callable[[], bool]) -> bool:
    """False if it does not in time, or once `given_up`."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while not answers(machine, server):
        if given_up() or time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True
