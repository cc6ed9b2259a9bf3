"""Moves a service's traffic: servers of HAProxy are taken out of the rotation, put in, or made backups.

The file carries it, since a reload by anybody forgets what was only said over the socket; the socket makes it hold at
once. What is undone is the changed line in its section: other lines are nobody's business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from devswap import balancer as balancers
from devswap import haproxy, haproxy_by_hand, haproxy_edits, haproxy_socket, rotation
from devswap.balancer import Balancer
from devswap.errors import DevswapError, MachineGone, Postponed, Unrecognised
from devswap.haproxy import Configuration, Server
from devswap.haproxy_edits import Edit
from devswap.haproxy_process import Process
from devswap.journal import Entry
from devswap.machine import Machine
from devswap.rotation import Change
from devswap.steps.step import Cloud, Step, is_left_to_them, shell

ACTIVE, IN, BACKUP, OUT = "active", "in", "backup", "out"
"""Takes traffic first; takes traffic as it did; only if no other can; never."""


@dataclass(frozen=True)
class MoveTraffic(Step):
    """`on` is HAProxy's machine, `sources` are its files and folders."""

    sources: tuple[str, ...]
    roles: tuple[tuple[str, str], ...]
    """(backend/server, what it becomes)."""
    patient: tuple[str, ...]
    """Servers that may be silent for an hour, because a person sits at a breakpoint."""
    of: str
    """The machine whose servers are moved: only when it answers does traffic come back to it."""
    own: tuple[str, ...]
    """Its servers."""
    stops: bool
    """Its undo stops where it cannot be whole. One that comes before production's start says so and goes on."""
    paths: tuple[str, ...] = ()
    """The files in which its lines are."""

    kind: ClassVar[str] = "haproxy"
    facts: ClassVar[tuple[str, ...]] = ("haproxy ",)
    outlives_restart: ClassVar[bool] = True

    @property
    def backends(self) -> list[str]:
        return list(dict.fromkeys(key.rpartition("/")[0] for key, _ in self.roles))

    @property
    def files(self) -> tuple[str, ...]:
        return self.paths

    def capture(self, cloud: Cloud) -> Any:
        """As HAProxy would be without the other swaps that move its traffic: those are restored in any order."""
        machine = cloud.machine(self.on)
        balancer = self._running(cloud)
        apart = self._apart(cloud, balancer)
        configuration, states = balancer.understood(apart.files), balancer.states()
        out = {server.key for server in balancer.configuration().servers if server.disabled}
        own = [server for key in self.own if (server := configuration.server(key)) is not None]
        return {
            "edits": [asdict(edit) for edit in self._edits(apart)],
            "admin": {
                server.key: "ready" if server.key in out and not server.disabled else states[server.key].admin
                for key, _ in self.roles
                if key in states and (server := configuration.server(key)) is not None
            },
            "answered": [server.key for server in own if not server.disabled and rotation.answers(machine, server)],
            "reload": balancer.reload_argv(),
        }

    def do(self, cloud: Cloud) -> None:
        balancer = self._running(cloud)
        if self.stops:
            rotation.believe(balancer, self._peers(balancer))

        edits = self._edits(self._apart(cloud, balancer))

        def planned(found: Balancer) -> Change:
            if self._edits(self._apart(cloud, found)) != edits:  # the way back that is on disk is not theirs any more
                raise DevswapError(
                    f"lines of {', '.join(self.backends)} in HAProxy's files in {self.on} were changed by somebody else"
                    " while its requests came to their end",
                    hint="type the same again",
                )
            return rotation.plan(found, edits, self._of_others(cloud))

        balancer, change = self._at_rest(cloud, balancer, planned, self.own)
        if change.texts:
            rotation.require_valid(balancer, change)
            rotation.load(balancer, change, say=cloud.say, aside=cloud.aside)
        self._end_rest(cloud, balancer)
        for here in self._own_in(balancer):
            if rotation.answers(balancer.machine, here):
                rotation.put_in(balancer, [here])

    def _end_rest(self, cloud: Cloud, balancer: Balancer) -> None:
        """Who has rested is waited for: HAProxy's checks do not end that."""
        states = balancer.states()
        resting = [here for here in self._own_in(balancer) if here.key in states and states[here.key].admin == "drain"]
        if resting:
            with cloud.aside():
                for here in resting:
                    self._await(cloud, balancer, here)

    def _own_in(self, balancer: Balancer) -> list[Server]:
        """Its own servers that get requests, by HAProxy's files as they are."""
        roles, configuration = dict(self.roles), balancer.configuration()
        found = [configuration.server(key) for key in self.own if roles.get(key) in (ACTIVE, IN)]
        return [server for server in found if server is not None and not server.disabled]

    def undo(self, cloud: Cloud, captured: Any) -> None:
        edits = [Edit(**edit).back for edit in captured["edits"]]
        machine = cloud.machine(self.on)
        if not machine.is_running():
            what = f"{self.on} is stopped: HAProxy's files in it are put back later"
            stopped = DevswapError(what, hint=f"lxc-start -n {machine.name}")
            raise stopped if self.stops else Postponed(stopped)
        balancer = balancers.at(machine, self.sources) or _stopped(machine, self.sources)

        def planned(found: Balancer) -> Change:
            return rotation.plan(found, edits, self._of_others(cloud))

        self._respect(cloud, planned(balancer))
        balancer, change = self._at_rest(cloud, balancer, planned, captured["answered"])
        theirs = self._respect(cloud, change)
        if not balancer.workers:
            balancer.stage(change.texts)
            balancer.put(change.texts)
        elif change.texts or not rotation.is_loaded(balancer, self.backends):
            self._load(cloud, balancer, change)
        self._settle(cloud, captured)
        balancer.clear(path for path, _ in (*balancer.files(), *balancer.fragments()))
        if theirs is not None:
            raise Postponed(theirs)

    def rest(self, cloud: Cloud) -> bool:
        """Its own servers get no request until the next `do`, where others take them: only said, since it is soon over.

        False where others would, and HAProxy takes no such word.
        """
        balancer = self._running(cloud)
        servers = balancer.configuration().of_backends(self.backends)
        if balancer.can_be_told:
            rotation.believe(balancer, self._peers(balancer))
        own = [server for server in servers if server.key in self.own and rotation.has_peer(balancer, server)]
        if own and balancer.can_be_told:
            with cloud.aside():
                rotation.drain(balancer, own, say=cloud.say)
        return balancer.can_be_told or not own

    def _at_rest(
        self, cloud: Cloud, balancer: Balancer, planned: Callable[[Balancer], Change], answering: Collection[str]
    ) -> tuple[Balancer, Change]:
        """What is `planned` once who comes back answers, and who leaves has no request under way.

        That may take a minute, in which others change HAProxy's files and have them loaded: so it is looked at anew.
        """
        change = planned(balancer)
        coming = [server for server in change.coming if server.key in answering]
        leaving = change.leaving if balancer.workers and balancer.can_be_told else ()
        if not (coming or leaving):
            return balancer, change
        with cloud.aside():
            for server in coming:
                self._await(cloud, balancer, server)
            rotation.drain(balancer, leaving, say=cloud.say)
        now = balancers.at(balancer.machine, self.sources) or balancer
        return now, planned(now)

    def _load(self, cloud: Cloud, balancer: Balancer, change: Change) -> None:
        """Where somebody's error keeps HAProxy from loading anything, ours leaves the file all the same."""
        wrong = balancer.complaint(change.texts)
        if wrong is None:
            rotation.load(balancer, change, say=cloud.say, aside=cloud.aside)
            return
        wrong = balancer.complaint() or wrong  # in the words of the files that people know
        balancer.stage(change.texts)
        balancer.put(change.texts)
        balancer.tell(*(haproxy_socket.set_state(server.key, "maint") for server in change.leaving))
        rotation.put_in(balancer, change.coming)
        checked = [word for path in self.sources for word in ("-f", path)]
        self._object(
            cloud,
            f"HAProxy's files in {balancer.machine.name} have an error that is not devswap's: its own lines are put "
            f"back, but HAProxy cannot load them, and who is a backup stays one until then\n{wrong}",
            f"mend them, until this has nothing to say: {shell(self.on, balancer.main.argv[0], '-c', *checked)}",
        )

    def _settle(self, cloud: Cloud, captured: Any) -> None:
        """What was said over the socket is as it was: a drain that a kill cut short, maintenance of somebody else's."""
        balancer = balancers.at(cloud.machine(self.on), self.sources)
        if balancer is None:
            return
        configuration, states = balancer.configuration(), balancer.states()
        for key, admin in captured["admin"].items():
            server = configuration.server(key)
            if server is None or server.disabled or key not in states or states[key].admin == admin:
                continue
            if states[key].admin == "maint" and key not in self.own:
                continue  # somebody has ordered it meanwhile: no step does so with a peer
            if admin == "ready":
                rotation.put_in(balancer, [server])
            else:
                balancer.tell(haproxy_socket.set_state(key, admin))

    def _peers(self, balancer: Balancer) -> list[Server]:
        """Whoever takes the requests meanwhile."""
        servers = balancer.configuration().of_backends(self.backends)
        return [server for server in servers if server.key not in self.own and not server.disabled]

    def _respect(self, cloud: Cloud, change: Change) -> Unrecognised | None:
        """A line of ours that is somebody else's by now stays as it is: why, where nobody has said that it shall.

        A file and the fragments it is assembled from are one: who keeps one keeps what is in the others too.
        """
        if any((self.on, path) in cloud.kept.files for path, _ in change.strange):
            return None
        for path, line in change.strange:
            try:
                is_left_to_them(cloud, self.on, path, f"{line} is not as devswap wrote it", can_go=False)
            except Unrecognised as error:
                if self.stops:
                    raise
                return error
        return None

    def _object(self, cloud: Cloud, what: str, hint: str) -> None:
        if self.stops:
            raise DevswapError(what, hint=hint)
        cloud.say(what)

    def _await(self, cloud: Cloud, balancer: Balancer, server: Server) -> None:
        """Traffic goes only to what answers; a machine that is gone never will, and HAProxy's checks know that."""

        def is_gone() -> bool:
            try:
                cloud.machine(self.of)
            except MachineGone:
                return True
            return False

        if not rotation.wait_until_it_answers(balancer.machine, server, given_up=is_gone) and not is_gone():
            raise DevswapError(
                f"{server.key} does not answer on {server.host}:{server.port} after {rotation.ANSWER_SECONDS:.0f} s: "
                "it gets no traffic",
                hint=f"find out why, in {self.of}",
            )

    def _running(self, cloud: Cloud) -> Balancer:
        found = balancers.at(cloud.machine(self.on), self.sources)
        if found is None:
            raise DevswapError(f"HAProxy with {', '.join(self.sources)} does not run in {self.on}")
        return found

    def _edits(self, texts: _Texts) -> list[Edit]:
        """In HAProxy's files, and in what they are assembled from."""
        configuration = haproxy.read(texts.files)
        edits = list(self._server_lines(configuration))
        by_path = dict(texts.files)
        for key in self.patient:
            server = configuration.server(key)
            waits = haproxy_edits.patient_backend(server.path, by_path[server.path], server.section) if server else None
            edits += [waits] if waits is not None else []
        return [*edits, *_in_fragments(edits, texts.fragments)]

    def _server_lines(self, configuration: Configuration) -> Iterator[Edit]:
        for key, role in self.roles:
            server = configuration.server(key)
            if server is None:
                raise DevswapError(f"HAProxy in {self.on} has no server {key} any more")
            backup = {ACTIVE: False, BACKUP: True}.get(role, server.backup)
            disabled = {ACTIVE: False, IN: False, OUT: True}.get(role, server.disabled)
            line = haproxy_edits.flagged(server, backup=backup, disabled=disabled)
            if key in self.patient:
                line = haproxy_edits.patient(server, line)
            if line != server.line:
                yield Edit(server.path, server.section, server.line, line)

    def _apart(self, cloud: Cloud, balancer: Balancer) -> _Texts:
        others, own = self._of_others(cloud), edits_made(cloud.entries(), self.on)
        return _Texts(
            *(
                [
                    (path, haproxy_edits.without(text, [each for each in others if each.path == path], own))
                    for path, text in found
                ]
                for found in (balancer.files(), balancer.fragments())
            )
        )

    def _of_others(self, cloud: Cloud) -> list[Edit]:
        """What each of the other swaps has made of the lines of this HAProxy in all, as far as it can be read."""
        found = list[Edit]()
        for entries in cloud.other_swaps():
            with suppress(KeyError, TypeError):  # its own restore says so; this one must not suffer from it
                found += edits_made(entries, self.on)
        return found

    def by_hand(self, captured: Any, vault: Path) -> list[str]:  # noqa: ARG002
        edits = [Edit(**edit).back for edit in captured["edits"]]
        lines = [
            shell(self.on, "sed", "--regexp-extended", "--in-place", haproxy_by_hand.sed(edit), edit.path)
            for edit in edits
        ]
        again = haproxy_by_hand.reload(captured["reload"], self.sources[0]) if lines else []
        return [*lines, shell(self.on, *again)] if lines else []

    def describe(self) -> tuple[str, str]:
        said = ", ".join(f"{key} {_SAID[role]}" for key, role in self.roles)
        patience = f"; waits an hour for {', '.join(self.patient)}" if self.patient else ""
        return f"HAProxy: {said}{patience}", f"let HAProxy send requests of {', '.join(self.backends)} as before"


_SAID = {
    ACTIVE: "takes the traffic",
    IN: "is in the rotation",
    BACKUP: "is a backup",
    OUT: "is drained and taken out",
}


def edits_made(entries: Sequence[Entry], on: str) -> list[Edit]:
    """What the steps of one swap have made, in all, of each line of the HAProxy in the machine `on`."""
    moved = [each for each in entries if each.step["kind"] == MoveTraffic.kind and each.step["on"] == on]
    return haproxy_edits.sums(Edit(**edit) for each in moved for edit in each.captured["edits"])


@dataclass(frozen=True)
class _Texts:
    """(path, text) of HAProxy's files, and of what they are assembled from."""

    files: list[tuple[str, str]]
    fragments: list[tuple[str, str]]


def _in_fragments(edits: list[Edit], fragments: Iterable[tuple[str, str]]) -> Iterator[Edit]:
    """The same edits where a fragment has the same line, or the section that gets one."""
    for path, text in fragments:
        for edit in edits:
            own = Edit(path, edit.section, edit.before, edit.after)
            if haproxy_edits.edited(text, [own])[0] != text:
                yield own


def _stopped(machine: Machine, sources: tuple[str, ...]) -> Balancer:
    """HAProxy that does not run still has its files."""
    return Balancer(machine, sources, Process(0, 0, ("haproxy",), "/", "", 0), frozenset())
