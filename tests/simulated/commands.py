"""Interprets the commands that devswap runs in machines. An unknown one fails the test."""

from __future__ import annotations

import re
import shlex
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.simulated.files import File
from tests.simulated.haproxy import looked_up
from tests.simulated.haproxy_program import haproxy
from tests.simulated.init import behind_env
from tests.simulated.mariadb import SOCKET, Schema, SqlError
from tests.simulated.processes import Effect, Invocation, Outcome, UnknownCommandError
from tests.simulated.systemctl import systemctl

if TYPE_CHECKING:
    from tests.simulated.machine import SimulatedMachine


def interpret(machine: SimulatedMachine, call: Invocation) -> Effect:
    """What only looks is answered at once; what changes something is a generator over the parts of its effect."""
    argv, settings, unset = behind_env(list(call.argv))
    if argv != list(call.argv):
        kept = {name: value for name, value in call.env.items() if name not in unset}
        call = replace(call, argv=tuple(argv), env={**kept, **settings})
    tool, *rest = call.argv
    if tool == "timeout":
        options = [word for word in rest if word.startswith("--")]
        return interpret(machine, replace(call, argv=tuple(rest[len(options) + 1 :])))
    if tool == "systemctl":
        return systemctl(machine, rest)
    if tool == "systemd-run":
        return _systemd_run(machine, rest, call)
    if tool == "journalctl":
        given = [word.removeprefix("--unit=") for word in rest if word.startswith("--unit=")]
        given += [word for word, before in zip(rest[1:], rest, strict=False) if before in ("--unit", "-u")]
        unit = given[0]
        return Outcome(0, "\n".join(machine.cloud.log.get((machine.name, unit), [])))
    if tool == "sh":
        return _shell(machine, call)
    if tool.endswith("/haproxy"):
        assert not any(name.startswith("HAPROXY_") for name in call.env), "it would take itself for a reloaded master"
    if tool.endswith("/haproxy") or (tool == "kill" and rest[0] == "-USR2"):
        return haproxy(machine, tool, rest)
    return machine.cloud.programs.run(machine, call) or _plain(machine, call)


def _plain(machine: SimulatedMachine, call: Invocation) -> Effect:
    """What every system has."""
    tool, *rest = call.argv
    if tool in ("true", "sleep") or call.argv == ("apachectl", "configtest"):
        return Outcome()
    if tool == "printenv":
        value = call.env.get(rest[0])
        return Outcome(1) if value is None else Outcome(0, f"{value}\n")
    if tool in ("echo", "id", "pwd"):
        return Outcome(0, {"echo": " ".join(rest), "id": call.user, "pwd": call.cwd}[tool] + "\n")
    if tool == "tail":
        return Outcome(0, (machine.files.read(rest[-1]) or b"").decode())
    if tool == "cat":
        return _read(machine, rest[-1], call.user) if rest else Outcome(0, call.stdin)
    if tool in ("rm", "umount", "mv", "test"):
        return _of_files(machine, tool, rest)
    if tool == "getent":
        found = looked_up((machine.files.read("/etc/hosts") or b"").decode(), rest[-1])
        return Outcome(0, f"{found}  STREAM {rest[-1]}\n") if found != rest[-1] else Outcome(2)
    if tool == "kill":
        return _kill(machine, *rest)
    if tool.startswith("no-such-"):
        return Outcome(127, stderr=f"env: '{tool}': No such file or directory\n")
    raise UnknownCommandError(f"the simulated {machine.name} does not know {shlex.join(call.argv)}")


def _read(machine: SimulatedMachine, path: str, user: str) -> Outcome:
    """There are no owners here: what is closed to others is closed to all but root, and groups may read theirs."""
    found = machine.files.find(path)
    if isinstance(found, File) and user != "root" and not found.mode & 0o044:
        return Outcome(1, stderr=f"cat: {path}: Permission denied\n")
    return Outcome(0, (machine.files.read(path) or b"").decode(errors="replace"))


def _of_files(machine: SimulatedMachine, tool: str, rest: list[str]) -> Effect:
    """What people type; `rm` and `umount` with an option, `test` with -r."""
    if tool == "test":
        return Outcome(0 if machine.files.exists(rest[-1]) else 1)
    if tool == "mv":
        return _move(machine, *rest)
    return _remove(machine, rest[1:]) if tool == "rm" else _unmount(machine, rest[-1])


def _kill(machine: SimulatedMachine, signal: str, *pids: str) -> Generator[None, None, Outcome]:
    """Of what a unit has left behind."""
    for pid in pids:
        stray = machine.init.strays.get(int(pid))
        if stray is not None and (signal == "-KILL" or not stray.deaf):
            del machine.init.strays[int(pid)]
        yield
    return Outcome()


def _remove(machine: SimulatedMachine, paths: list[str]) -> Generator[None, None, Outcome]:
    """rm -f and rm -rf, of files."""
    for path in paths:
        machine.files.remove(path)
        yield
    return Outcome()


def _unmount(machine: SimulatedMachine, target: str) -> Generator[None, None, Outcome]:
    machine.files.unmount(target)
    yield
    return Outcome()


def _move(machine: SimulatedMachine, source: str, folder: str) -> Generator[None, None, Outcome]:
    content = machine.files.read(source)
    if content is None:
        return Outcome(1, stderr=f"mv: cannot stat '{source}': No such file or directory\n")
    machine.files.write(folder + source.rpartition("/")[2], content)
    machine.files.remove(source)
    yield
    return Outcome()


def _shell(machine: SimulatedMachine, call: Invocation) -> Effect:
    script, arguments = call.argv[2], call.argv[4:]
    if script == 'eval "$(cat)"; exec "$@"':
        told = dict(shlex.split(line)[1].split("=", 1) for line in call.stdin.splitlines())
        return interpret(machine, replace(call, argv=tuple(arguments), env={**call.env, **told}, stdin=""))
    if script.startswith("IFS= read -r MYSQL_PWD; export MYSQL_PWD"):
        password, _, rest = call.stdin.partition("\n")
        return _database_tool(machine, list(arguments), password, rest, closed=call.closed)
    if match := re.fullmatch(r"rm -f (\S+)/(\S+)\*", script):
        names = [name for name in machine.files.names(match[1]) if name.startswith(match[2])]
        return _remove(machine, [f"{match[1]}/{name}" for name in names])
    if script.endswith("kill -KILL ${p#/proc/}; done 2>/dev/null; true"):
        folder, unit = arguments
        strays = machine.init.strays.items()
        return _kill(machine, "-KILL", *(str(pid) for pid, each in strays if each.is_of(unit, f"{folder}/")))
    if match := re.fullmatch(r"exit (\d+)", script):
        return Outcome(int(match[1]))
    if match := re.fullmatch(r"kill -(KILL|TERM) \$\$", script):
        return Outcome(137 if match[1] == "KILL" else 143)
    if match := re.fullmatch(r"echo (\w+); echo (\w+) >&2", script):
        return Outcome(0, f"{match[1]}\n", f"{match[2]}\n")
    raise UnknownCommandError(f"the simulated {machine.name} has a shell that does not know {script!r}")


# --- systemd-run(1) -------------------------------------------------------------------------------------------------


def _systemd_run(machine: SimulatedMachine, arguments: list[str], call: Invocation) -> Effect:
    split = arguments.index("--")
    options, argv = arguments[:split], [_expanded(word) for word in arguments[split + 1 :]]
    named = [option.partition("=")[::2] for option in options]
    if argv[:2] == ["test", "-r"]:
        argv[2] = _bound(named).get(argv[2], argv[2])
    given = {name: value for name, value in named if name != "--setenv"}
    unit = given["--unit"]
    if machine.init.load(unit) is not None and machine.init.unit(unit).active != "inactive":
        return Outcome(1, stderr=f"Failed to start transient service unit: Unit {unit} was already loaded.\n")
    if ("--property", "PrivateNetwork=yes") in named and not machine.state.gives_networks:
        return Outcome(225)  # systemd.exec(5): EXIT_NETWORK
    inner = Invocation(
        argv=tuple(argv),
        env={
            **dict(value.split("=", 1) for name, value in named if name == "--setenv"),
            **_read_by_systemd(machine, [value for name, value in named if name == "--property"]),
        },
        user=given.get("--uid", "root"),
        cwd=given.get("--working-directory", "/"),
        stdin=call.stdin,
        closed=call.closed,
    )
    if "--wait" in given:
        return _waited_for(machine, unit, inner)
    return _guarding(machine, unit, inner)


def _expanded(word: str) -> str:
    """A word of ExecStart= where no variable is set; one that is alone would be gone altogether."""
    assert not re.match(r"\$\w+$", word), f"systemd-run would drop {word!r}"
    return re.sub(r"\$\$|\$\{\w*\}", lambda match: "$" if match[0] == "$$" else "", word)


def _read_by_systemd(machine: SimulatedMachine, properties: list[str]) -> dict[str, str]:
    """Of EnvironmentFile=, which systemd reads as root."""
    paths = [value for name, _, value in (each.partition("=") for each in properties) if name == "EnvironmentFile"]
    texts = [(machine.files.read(path.removeprefix("-")) or b"").decode() for path in paths]
    named = [line.partition("=") for text in texts for line in text.splitlines() if "=" in line]
    return {name: value.strip('"').replace("\\", "") for name, _, value in named}


def _bound(options: list[tuple[str, str]]) -> dict[str, str]:
    """{where a unit sees it: what it sees there}, by BindReadOnlyPaths=."""
    told = [value.partition("=")[2].split() for name, value in options if value.startswith("BindReadOnlyPaths=")]
    return {target: source for words in told for source, _, target in (word.partition(":") for word in words)}


def _waited_for(machine: SimulatedMachine, unit: str, call: Invocation) -> Generator[None, None, Outcome]:
    """The unit goes on without devswap; its statements are taken one by one, so that a kill can fall between them."""
    machine.make_transient(unit, call.argv)
    yield
    try:
        outcome = yield from _inner(machine, unit, call)
    finally:
        machine.end(unit, "inactive", 0)  # --collect: a failed one is not kept either
    return outcome


def _inner(machine: SimulatedMachine, unit: str, call: Invocation) -> Generator[None, None, Outcome]:
    try:
        todo = machine.cloud.programs.migration(machine, call)
    except SqlError as error:
        return Outcome(1, stderr=f"{error}\n")
    if todo is None:
        effect = interpret(machine, call)
        if isinstance(effect, Outcome):
            return effect
        return (yield from effect)
    running = machine.init.unit(unit)
    running.todo = todo
    while running.todo:
        where, sql = running.todo.pop(0)
        try:
            machine.cloud.schema(where).execute(sql)
        except SqlError as error:
            return Outcome(1, stderr=f"{error}\n")
        yield
    return Outcome()


def _guarding(machine: SimulatedMachine, unit: str, call: Invocation) -> Generator[None, None, Outcome]:
    machine.make_transient(unit, call.argv)
    if call.argv[0] == "sh":
        machine.init.unit(unit).pipe = call.argv[4]
    yield
    return Outcome()


def end_of_pipe(machine: SimulatedMachine, unit: str) -> None:
    """Devswap's end is closed: the guard's shell script goes on behind its `cat`."""
    _, _, script, _, *arguments = machine.init.unit(unit).argv
    for command in script.split(";")[1:]:
        line = [re.sub(r"^\$(\d)$", lambda match: arguments[int(match[1]) - 1], word) for word in shlex.split(command)]
        if line[:2] == ["rm", "-f"]:
            for path in line[2:]:
                machine.files.remove(path)
        elif line[0] == "systemctl":
            for _ in _parts(systemctl(machine, line[1:])):
                pass
        elif line[0] != "sleep":
            raise UnknownCommandError(f"a guard runs {line}")
    machine.end(unit, "inactive", 0)


def _parts(effect: Effect) -> Generator[None, None, None]:
    if not isinstance(effect, Outcome):
        yield from effect


# --- mariadb(1), mariadb-dump(1) ------------------------------------------------------------------------------------


def _database_tool(machine: SimulatedMachine, argv: list[str], password: str, stdin: str, *, closed: bool) -> Effect:
    tool, *arguments = argv
    given = dict(word.partition("=")[::2] for word in arguments if word.startswith("--"))
    try:
        where = (given.get("--host", SOCKET), given["--user"], password, arguments[-1])
        server = machine.cloud.world.servers.get(where[0])
        if server is not None and (refusal := server.refusal(given)):
            return Outcome(1, stderr=f"{refusal}\n")
        schema = machine.cloud.schema(where) if where[0] != SOCKET else machine.cloud.own_schema(machine, *where[1:])
        if tool.endswith("dump"):
            rows = "--no-data" not in given
            return Outcome(0, schema.dump(rows=rows, comments="--skip-comments" not in given))
        if re.match(r"(SELECT|SHOW)\b", stdin):
            return Outcome(0, "".join(f"{row}\n" for row in schema.execute(stdin)))
    except SqlError as error:
        return Outcome(1, stderr=f"{error}\n")
    return _sql(schema, stdin, closed=closed)


def _sql(schema: Schema, text: str, *, closed: bool) -> Generator[None, None, Outcome]:
    try:
        said = yield from schema.script(text, received=closed)
    except SqlError as error:
        return Outcome(1, stderr=f"{error}\n")
    return Outcome(0, "".join(f"{row}\n" for row in said))
