"""Whatever happens in whatever order, a restore ends with production whole, or with exit code 3 and the truth.

Hypothesis makes the sequences up: takeovers of two services with one database, one of them behind HAProxy, switches,
edits of the checkout and of what devswap changes, kills at any instant, restarts of machines and of the host, other
people, traffic narrowed and HAProxy reloaded by them, a database that cannot be reached. They are the same each time;
with `--hypothesis-profile thorough` they are thousands of new ones.
"""

from __future__ import annotations

import gzip
import itertools
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from devswap import development, narrowing, rotation, swap, systemd
from devswap.errors import DevswapError, NotWhole
from devswap.hooks import STAGES
from devswap.host import Host
from devswap.journal import Journal
from devswap.wish import Wish
from tests.crash.test_crash import hooks
from tests.simulated import disk, images
from tests.simulated.cloud import SimulatedCloud
from tests.simulated.comparison import differences
from tests.simulated.mariadb import SqlError
from tests.simulated.snapshot import Snapshot, World

SERVICES = ("heat-engine", "heat-api")
BALANCED = "heat-api"
CHECKOUTS = {"plain": ("a1",), "migrates": ("a1", "b2"), "further": ("a1", "b2", "c3"), "dies": ("a1", "b2")}
MACHINES = (images.HEAT, images.HEAT_CFN, images.GALERA, images.HAPROXY)
PEOPLE = (("ada", 0), ("ben", 1000))
CONFIGURATION = (images.HEAT, f"{images.VENV}/etc/heat/heat.conf")
CFG, FRAGMENT = "/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d/heat_api"
PEER = f"    server {images.THEIRS.rpartition('/')[2]} {images.PEER}:8004 check port 8004 inter 12000 rise 3 fall 3"
"""The line of the server that others may have made a backup."""

services, people = st.sampled_from(SERVICES), st.sampled_from(PEOPLE)
instants = st.none() | st.integers(0, 200)
"""When a command is killed; None: never."""


class Sequences(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self._folder = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="devswap-sequence-")
        self.cloud = SimulatedCloud(Path(self._folder.name))
        self.cloud.balance()
        for name, revisions in CHECKOUTS.items():
            self.cloud.checkout(name, revisions=revisions, fate="dies" if name == "dies" else "")
            (self.cloud.folder / "overlays" / name / "bin/heat-api").write_text("")
        self._patched = pytest.MonkeyPatch()
        self._patched.setattr("time.sleep", lambda seconds: None)
        self._patched.setattr(rotation, "ANSWER_SECONDS", 0.0)
        self._disk = disk.watched(self._patched, self.cloud.state, self.cloud.calls)
        self._disk.__enter__()
        self.whole = self.cloud.take()
        self.clock = itertools.count()
        self.rows: list[str] = []
        self.edits = 0

    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            self._disk.__exit__(None, None, None)
            self._patched.undo()
            self._folder.cleanup()

    # --- what people do ---------------------------------------------------------------------------------------------

    @initialize(ref=st.sampled_from(sorted(CHECKOUTS)))
    def ada_takes_over(self, ref: str) -> None:
        self.take_over(Wish(SERVICES[0], ref, None, None, detach=True), PEOPLE[0], None)

    @rule(service=services, ref=st.sampled_from(sorted(CHECKOUTS)), killed=instants)
    def ada_takes_over_or_switches(self, service: str, ref: str, killed: int | None) -> None:
        self.take_over(Wish(service, ref, None, None, detach=True), PEOPLE[0], killed)

    @rule(service=services, ref=st.sampled_from(sorted(CHECKOUTS)), who=people, killed=instants)
    def somebody_takes_it_from_another(self, service: str, ref: str, who: tuple[str, int], killed: int | None) -> None:
        self.take_over(Wish(service, ref, None, None, detach=True, take_over=who[1] == 0), who, killed)

    def take_over(self, wish: Wish, who: tuple[str, int], killed: int | None) -> None:
        self.run(lambda: swap.checkout(self.host(who), wish, self.cloud.makers), killed)

    @rule(service=services, who=people, killed=instants)
    def somebody_runs_again(self, service: str, who: tuple[str, int], killed: int | None) -> None:
        self.run(lambda: swap.run(self.host(who), service, None, detach=True), killed)

    @rule(service=services, killed=instants)
    def somebody_restores(self, service: str, killed: int | None) -> None:
        self.give_back(service, killed)

    def give_back(self, name: str, killed: int | None) -> None:
        for journal in self.journals():
            if journal.swap.service == name:
                self.run(lambda journal=journal: swap.restore(self.host(), journal), killed)  # type: ignore[misc]
        if not self.journals() and not self.obstacles():
            self.assert_whole()

    @rule(ref=st.sampled_from(("migrates", "further")))
    def ada_edits_a_migration_of_her_checkout(self, ref: str) -> None:
        migration = max((self.cloud.folder / "checkouts" / ref).rglob("*_change.py"))
        migration.write_text(migration.read_text() + "# edited\n")

    @rule(killed=instants)
    def somebody_narrows_the_traffic(self, killed: int | None) -> None:
        if self.cloud.machine(images.HAPROXY).is_running():
            narrow = lambda: narrowing.narrow(self.host(), BALANCED, to=images.HEAT, exclusive=bool(self.edits % 2))  # noqa: E731
            self.run(narrow, killed)

    @rule(killed=instants)
    def somebody_widens_it(self, killed: int | None) -> None:
        self.give_back(f"haproxy:{BALANCED}", killed)

    @rule()
    def somebody_reloads_haproxy(self) -> None:
        machine = self.cloud.machine(images.HAPROXY)
        if machine.is_running():
            machine.run(["systemctl", "reload", "--", "haproxy.service"])

    @rule()
    def somebody_edits_the_line_of_a_backup(self) -> None:
        machine = self.cloud.machine(images.HAPROXY)
        for path in (CFG, FRAGMENT) if machine.is_running() else ():
            text = machine.read_text(path) or ""
            machine.write_text(path, text.replace("rise 3 fall 3 backup", "rise 3 fall 9 backup"))

    @rule(where=st.sampled_from((CONFIGURATION, (images.HAPROXY, CFG))))
    def a_playbook_changes_a_configuration(self, where: tuple[str, str]) -> None:
        self.edits += 1
        name, path = where

        def edit(world: World) -> None:
            files = world.machines[name].files
            files.write(path, (files.read(path) or b"") + b"# one more line\n")

        edit(self.cloud.world)
        world = pickle.loads(self.whole.world)
        edit(world)
        self.whole = replace(self.whole, world=pickle.dumps(world))

    @rule(service=services)
    def somebody_edits_the_drop_in(self, service: str) -> None:
        machine, path = self.cloud.machine(images.HEAT), development.path(f"{service}.service")
        if machine.is_running() and machine.exists(path):
            machine.write_text(path, (machine.read_text(path) or "") + "Environment=MINE=1\n")
            systemd.reload(machine)

    @rule(failing=st.sampled_from(["", *STAGES]), there=st.booleans())
    def the_administrator_has_other_hooks(self, *, failing: str, there: bool) -> None:
        self.cloud.hooks = hooks(failing) if there else []

    @rule()
    def somebody_writes_a_row(self) -> None:
        """Not while a load is under way: all who write are stopped then."""
        if list(self.cloud.state.glob("shared/*/load-has-begun")) or not self.cloud.world.servers:
            return
        row = f"({1000 + len(self.rows)})"
        try:
            self.cloud.schema(images.ACCOUNT).execute(f"INSERT INTO `event` VALUES {row}")
        except SqlError:
            return
        self.rows.append(row)

    # --- what befalls machines --------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(MACHINES))
    def a_machine_restarts(self, name: str) -> None:
        self.cloud.machine(name).boot()

    @rule()
    def the_host_restarts(self) -> None:
        for name in MACHINES:
            self.cloud.machine(name).boot()

    @rule(what=st.sampled_from((images.HEAT, images.GALERA, images.HAPROXY, "the database")))
    def trouble_comes(self, what: str) -> None:
        if what in MACHINES:
            self.cloud.machine(what).halt()
        elif self.cloud.world.servers:
            self.servers, self.cloud.world.servers = self.cloud.world.servers, {}

    @rule()
    def trouble_goes(self) -> None:
        for mend in self.obstacles().values():
            mend()

    @rule()
    def time_passes(self) -> None:
        if self.cloud.world.servers:
            self.cloud.time_passes()

    # --- what must hold ---------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Restore until nothing is swapped: each refusal names what stands in the way, and that is then mended."""
        for _ in range(12):
            told = [error for journal in self.journals() if (error := self.restored(journal)) is not None]
            if not self.journals():
                break
            assert told
            self.mend(str(told[0].message) + str(told[0].hint))
        assert self.journals() == []
        for name in MACHINES:
            if not self.cloud.machine(name).is_running():
                self.cloud.machine(name).boot()
        if not self.cloud.world.servers:
            self._connect_database()
        self.assert_whole()

    def restored(self, journal: Journal) -> NotWhole | None:
        try:
            swap.restore(self.host(), journal)
        except NotWhole as error:
            self.assert_excused(error, bool(self.obstacles()))
            return error
        return None

    def obstacles(self) -> dict[str, Callable[[], None]]:
        """What is in the way of a restore now, by a word that must be said of it, with what mends it."""
        found: dict[str, Callable[[], None]] = {}
        for name in MACHINES:
            if not self.cloud.machine(name).is_running():
                found[name] = self.cloud.machine(name).boot
        if not self.cloud.world.servers:
            found["Can't connect"] = self._connect_database
        machine = self.cloud.machine(images.HEAT)
        for service in SERVICES if machine.is_running() else ():
            path = development.path(f"{service}.service")
            text = machine.read_text(path)
            if text is not None and not development.is_as_written(text):
                found[path] = lambda path=path: machine.remove(path)  # type: ignore[misc]
        balancer = self.cloud.machine(images.HAPROXY)
        for path in (CFG, FRAGMENT) if balancer.is_running() else ():
            if "fall 9" in (balancer.read_text(path) or ""):
                found[images.THEIRS.rpartition("/")[2]] = self._put_the_line_right
        return found

    def _put_the_line_right(self) -> None:
        machine = self.cloud.machine(images.HAPROXY)
        for path in (CFG, FRAGMENT):
            lines = (machine.read_text(path) or "").split("\n")
            lines = [f"{PEER}   # the other" if "fall 9" in line else line for line in lines]
            machine.write_text(path, "\n".join(lines))
        self.somebody_reloads_haproxy()

    def mend(self, said: str) -> None:
        ways = self.obstacles()
        named = [word for word in ways if word in said]
        assert named, f"in the way is {sorted(ways)}, said is {said}"
        ways[named[0]]()

    def assert_whole(self) -> None:
        self.cloud.time_passes()
        saves = [gzip.decompress(path.read_bytes()).decode() for path in self.cloud.state.glob("saved/*.sql.gz")]
        events = self.cloud.schema(images.ACCOUNT).table("event").rows
        for row in self.rows:
            assert row in events or any(row in save for save in saves), f"the row {row} is lost"
        assert len(events) == len(set(events))
        events[:] = [row for row in events if row not in self.rows]
        self.rows.clear()
        assert differences(self.cloud, self.whole) == []

    def _connect_database(self) -> None:
        self.cloud.world.servers = self.servers

    # --- the world --------------------------------------------------------------------------------------------------

    def host(self, who: tuple[str, int] = PEOPLE[0]) -> Host:
        found = self.cloud.host(user=who[0], uid=who[1])
        return replace(
            found,
            now=lambda: f"2026-01-01T00:00:00.{next(self.clock):06}+00:00",
        )

    def journals(self) -> list[Journal]:
        return self.host().journals.all()

    def run(self, command: Callable[[], object], killed: int | None) -> None:
        """To its end, or until it is killed at the instant `killed`: what it left is all there is of it then."""
        left: list[Snapshot] = []
        count = itertools.count()

        def instant(what: str) -> None:
            if next(count) == killed:
                left.append(self.cloud.take())

        self.cloud.calls.begin(instant=instant)
        try:
            command()
        except NotWhole as error:
            known = ("is not complete", "does not serve", "was given back, but not all")
            self.assert_excused(error, bool(left or self.obstacles() or any(each in error.message for each in known)))
        except DevswapError:
            pass
        self.cloud.calls.begin()
        if left:
            self.cloud.put_back(left[0])
            self.cloud.devswap_dies()

    def assert_excused(self, error: NotWhole, excused: bool) -> None:  # noqa: FBT001
        assert excused, f"exit 3 although nothing stands in the way: {error.message}"


TestSequences = Sequences.TestCase
TestSequences.settings = settings(settings.default, stateful_step_count=12, deadline=None, print_blob=True)
