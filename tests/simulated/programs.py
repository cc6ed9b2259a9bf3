"""What the programs do that run in the simulated machines: production's, a checkout's, and devswap's own in Python."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devswap import migrations, sqlite_files
from tests.simulated import images, nova, sqlite, web
from tests.simulated.init import behind_env
from tests.simulated.mariadb import SqlError
from tests.simulated.processes import Effect, Invocation, Outcome

if TYPE_CHECKING:
    from tests.simulated.cloud import SimulatedCloud
    from tests.simulated.machine import SimulatedMachine

MIGRATIONS = "heat/db/migrations/versions"
_SERVED_BY = {"8004": "heat-api.service", "8000": "heat-api-cfn.service"}


class Programs:
    """Those of one cloud, which says how they are today: see its attributes."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._cloud = cloud
        self.polls = 0
        """How often a probe has asked again."""

    def run(self, machine: SimulatedMachine, call: Invocation) -> Effect | None:
        """The Python programs; None for what is none of them."""
        tool, *arguments = call.argv
        if not tool.rpartition("/")[2].startswith("python") or "-c" not in arguments:
            return None
        if not machine.files.exists(tool):
            return Outcome(127, stderr=f"env: '{tool}': No such file or directory\n")
        script, *words = arguments[arguments.index("-c") + 1 :]
        if script == sqlite_files.script():
            return sqlite.program(machine, words[0], call)
        if "memfd_create" in script:
            return self._hook(json.loads(call.stdin))
        if _asks(script):
            return Outcome(0, json.dumps(self._answer(machine, json.loads(call.stdin.splitlines()[0]))))
        if "os.execv(sys.executable" in script:
            return self._unit_tests(machine, words)
        if "oslo.config.opts" in script:
            options = self._cloud.options
            return Outcome(0, json.dumps(options)) if options else Outcome(1, stderr="no oslo.config\n")
        if "sys.base_prefix" in script:
            virtualenv = os.path.dirname(os.path.dirname(tool))
            folders = [f"{virtualenv}/lib/python3.11/site-packages"]
            version = "2.7" if "python2" in tool else "3.11"
            return Outcome(0, json.dumps({"version": version, "folders": folders, "virtualenv": virtualenv}))
        if "find_spec" in script or "import_module" in script:
            package, _, folder, libraries = words
            apart = {name: self._imported(machine, name, place) for name, place in json.loads(libraries).items()}
            found = {"place": f"{folder}/{package}/__init__.py", "apart": apart, "unreadable": [], "count": 0}
            return Outcome(0, json.dumps(found))
        return None

    def _hook(self, given: Mapping[str, Any]) -> Outcome:
        """Its last line is all it does: exit CODE, echo WORD, or nothing."""
        self._cloud.hooks_run.append(json.loads(given["document"]))
        tool, *words = shlex.split(given["script"].splitlines()[-1])
        if tool == "exit":
            return Outcome(int(words[0]), stderr="it was told to\n")
        return Outcome(0, f"{words[0]}\n" if tool == "echo" else "")

    def _unit_tests(self, machine: SimulatedMachine, words: Sequence[str]) -> Outcome:
        """They need the checkout where they are told that it is, and a folder that can be written."""
        checkout, folder, *argv = words
        assert machine.files.is_folder(checkout)
        assert machine.files.is_folder(os.path.dirname(folder))
        self._cloud.tested.append((str(machine.files.find(checkout)), *argv))
        return Outcome(3 if "fails" in argv else 0)

    def _imported(self, machine: SimulatedMachine, package: str, folder: str) -> str | None:
        """Where a library's package is found; production has none of its name."""
        return f"{folder}/{package}/__init__.py" if isinstance(machine.files.find(folder), Path) else None

    def is_over(self, machine: SimulatedMachine, argv: Sequence[str], read: str) -> bool:
        """A probe goes on asking until the service serves, or its time is over."""
        if not _asks(" ".join(argv)):
            return True
        self.polls += 1
        asked = json.loads(read.splitlines()[0])
        return self._answer(machine, asked)["serving"] is True or self.polls > 20 * asked["seconds"]

    def _answer(self, machine: SimulatedMachine, asked: Mapping[str, Any]) -> dict[str, object]:
        if "addresses" in asked:
            return self.answer_of_web(machine, asked["addresses"])
        host = asked["hosts"][0][0] or machine.name
        self._cloud.starting = max(0, self._cloud.starting - 1)
        units = {topic: f"nova-{topic}.service" for topic in nova.SERVICES} | {"engine": "heat-engine.service"}
        running = machine.init.units.get(units.get(asked["topic"], ""))
        serving = running is not None and running.active == "active" and self._fate(machine, running.argv) != "mute"
        serving = serving and not self._cloud.starting
        queue = f"the queue {asked['topic']}.{host}"
        return {"serving": serving, "why": f"{queue} has a consumer" if serving else f"{queue} has no consumer"}

    def answer_of_web(self, machine: SimulatedMachine, addresses: Sequence[str]) -> dict[str, object]:
        for address in addresses:
            argv = self._behind(machine, address.rpartition(":")[2])
            if argv is None:
                return {"serving": False, "why": f"{address} cannot be asked: Connection refused"}
            if self._fate(machine, argv) == "mute":
                return {"serving": False, "why": f"{address} answers 500"}
        return {"serving": True, "why": ", ".join(f"{address} answers 300" for address in addresses)}

    def _behind(self, machine: SimulatedMachine, port: str) -> list[str] | None:
        """The command of what answers on a port, or its Python; None where nobody does."""
        units = {name: unit for name, unit in machine.init.units.items() if unit.active == "active"}
        home = web.home(units[web.UNIT].argv, port) if web.UNIT in units else None
        if home is not None:
            return [f"{home}/bin/python"]
        own = [unit.argv for unit in units.values() if any(f":{port}=" in word for word in unit.argv)]
        named = units.get(_SERVED_BY.get(port, ""))
        return own[0] if own else named.argv if named else None

    def fate(self, machine: SimulatedMachine, argv: Sequence[str]) -> int:
        """The exit code of a service that ends as soon as it was started; 0 for one that runs."""
        if self._fate(machine, argv) == "dies":
            return 1
        in_files = self._cloud.in_files and argv[-1].endswith("/heat-engine")
        if in_files and isinstance(machine.files.find(argv[0]), Path):
            sqlite.alter_all(machine.files)
        return nova.record(self._cloud, machine, argv) if "/nova-" in " ".join(argv[1:]) else 0

    def _fate(self, machine: SimulatedMachine, argv: Sequence[str]) -> str:
        overlay = argv[argv.index("--virtualenv") + 1] + "/bin/python" if "--virtualenv" in argv else argv[0]
        found = machine.files.find(overlay)
        return (found.parent.parent / "fate").read_text() if isinstance(found, Path) else ""

    def migration(
        self, machine: SimulatedMachine, call: Invocation
    ) -> list[tuple[tuple[str, str, str, str], str]] | None:
        """What a project's own migration command executes, where `call` is one."""
        argv = behind_env(list(call.argv))[0]
        if len(argv) > 2 and argv[1].endswith("/nova-manage"):
            url = call.env.get("OS_DATABASE__CONNECTION", "")
            return nova.migration(self._cloud, self._checkout_of(machine, argv[0]), argv[2:], url)
        if len(argv) < 3 or not argv[1].endswith("/heat-manage") or argv[-1] != "db_sync":
            return None
        source = machine.files.find(argv[0].replace("/overlay/bin/python", "/checkout"))
        if not (isinstance(source, Path) or machine.files.is_folder(argv[0].replace("/bin/python", ""))):
            raise SqlError("no such program")
        tree = migrations.read(self._checkout_of(machine, argv[0]), [MIGRATIONS])
        now = self._cloud.schema(images.ACCOUNT).column("alembic_version")
        missing = [revision for revision in sorted(tree.known) if [revision] > now]
        return [(images.ACCOUNT, sql) for revision in missing for sql in images.CHANGES[revision]]

    def _checkout_of(self, machine: SimulatedMachine, python: str) -> Path:
        """The checkout that an overlay's interpreter is of."""
        folder = Path(machine.files.find(python).__fspath__()).parent.parent  # type: ignore[union-attr]
        return self._cloud.folder / "checkouts" / folder.name


def _asks(script: str) -> bool:
    """Whether it is a probe's."""
    return "import amqp" in script or "def connect(parts" in script
