"""Whether the code that a service would run really is the checkout's, and whether it can be imported at all.

Python's path decides silently: with production's package of the same name in sight, metadata may say development while
the imported code is production's. So it is asked of the interpreter that will run the service, as the service's user.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from devswap import development, systemd
from devswap.errors import CommandFailed, CommandTimeout, DevswapError
from devswap.machine import Machine
from devswap.slot import Slot

_SECONDS = 600.0
"""A module may wait for what never comes when it is imported."""
_MEND = "mend the checkout and try again; production has not been touched"

# The arguments are taken out of sys.argv first: some modules parse it when they are imported (heat.wsgi.api).
_PREAMBLE = """
import importlib, importlib.util, json, os, sys
package, module, folder, libraries = sys.argv[1:]
libraries = json.loads(libraries)
sys.argv[:] = [module or package]
sys.path[:] = [path for path in sys.path if path]

def place_of(name):
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return spec and (spec.origin or list(spec.submodule_search_locations or [""])[0])

"""
_FIND = "place = place_of(package)\n"
_LIBRARIES = "apart = {name: place_of(name) for name in libraries}\n"
_READABLE = """
unreadable = []
for top in [folder, *sorted(set(libraries.values()))]:
    for parent, folders, names in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [os.path.join(parent, name) for name in folders + names if not name.startswith(".")]
        unreadable += [path for path in paths if not os.access(path, os.R_OK) and not os.path.islink(path)]
"""
# The service imports more when it starts than its entry point does: what it would compile then, while nobody serves, is
# compiled here, by a process of its own while this one imports. Loaders write bytecode as an import would; tests are
# left out, and the last comes first, since the imports compile what they meet. A tree may hold pipes, devices and data
# of any size under the name of a module: what nothing imports must neither stop this nor fill the memory.
_COMPILE = """
import importlib.machinery
from os import waitpid as wait
def compile_all(tops):
    for top in tops:
        for parent, folders, names in os.walk(top):
            folders[:] = sorted((name for name in folders if name not in ("tests", "__pycache__")), reverse=True)
            for name in names:
                path = os.path.join(parent, name)
                if name.endswith(".py") and os.path.isfile(path) and os.path.getsize(path) < 4 << 20:
                    try:
                        importlib.machinery.SourceFileLoader(name, path).get_code(name)
                    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
                        pass
compiler = os.fork()
if not compiler:
    try:
        compile_all({os.path.dirname(each) for each in map(place_of, [package, *libraries]) if each})
    finally:
        os._exit(0)
"""
# What is imported may have put something in the place of os.waitpid (eventlet does), or have nobody waited for.
_COMPILED = """
try:
    wait(compiler, 0)
except ChildProcessError:
    pass
"""
_REPORT = """
answer = {'place': place, 'apart': apart, 'unreadable': unreadable[:5], 'count': len(unreadable)}
sys.stdout.write(json.dumps(answer))
"""
# Importing the module of a WSGI application would start it: only what stands at its beginning is done, its imports.
_IMPORT = """
import ast
def import_what_it_imports(name):
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.origin:
        raise ModuleNotFoundError("No module named %r" % name)
    with open(spec.origin, "rb") as file:
        tree = ast.parse(file.read(), spec.origin)
    tree.body = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    exec(compile(tree, spec.origin, "exec"), {"__name__": name, "__package__": name.rpartition(".")[0]})
for each in module.split(","):
    name, _, called = each.lstrip("=").partition(":")
    imported = import_what_it_imports(name) if each.startswith("=") else importlib.import_module(name)
    if called:
        getattr(imported, called)()
found = sys.modules[package]
place = getattr(found, "__file__", None) or list(found.__path__)[0]
"""
_TAIL_LINES = 6
_NONE: Mapping[str, str] = MappingProxyType({})


def check_origin(
    machine: Machine,
    slot: Slot,
    *,
    unit: str,
    user: str,
    group: str,
    package: str,
    libraries: Mapping[str, str] = _NONE,
    installed: bool = False,
) -> None:
    """Raises DevswapError unless `package` would come from the checkout, readable for `user`; runs nothing of it.

    `installed`: it must come from the overlay itself. `libraries` are the packages that must come from elsewhere:
    {"oslo_db": "oslo-db"} is the slot's folder of oslo.db.
    """
    code = f"{_PREAMBLE}{_FIND}{_LIBRARIES}{_READABLE}{_REPORT}"
    folders = {name: slot.library(library) for name, library in libraries.items()}
    try:
        result = systemd.run_in_unit(
            machine,
            unit,
            development.overriding(
                [slot.python, "-B", "-c", code, package, "", slot.checkout, json.dumps(folders)], _HOME
            ),
            user=user,
            group=group,
            cwd="/",
            properties=_APART,
        )
    except CommandFailed as error:
        raise DevswapError(f"cannot look for {package} in the overlay: {error.result.tail}") from error
    found = json.loads(result.stdout)
    _assert_readable(found["count"], found["unreadable"], slot, user)
    _assert_origins(found, package, _origin(slot, installed=installed), folders)


def check_import(
    machine: Machine,
    slot: Slot,
    *,
    unit: str,
    user: str,
    group: str,
    package: str,
    modules: Sequence[str],
    application: str | None = None,
    environment: Mapping[str, str] | None = None,
    libraries: Mapping[str, str] = _NONE,
    installed: bool = False,
) -> None:
    """Import `modules` as the service's user, with no network and no database; raises DevswapError with what failed.

    Of `application`, which starts when it is imported, only what it imports is. Its bytecode stays in the slot, so
    that the start that follows is faster. Of MODULE:FUNCTION the function is called, too: some projects' modules
    cannot be imported before that.
    """
    code = f"{_PREAMBLE}{_COMPILE}{_IMPORT}{_LIBRARIES}{_COMPILED}{_READABLE}{_REPORT}"
    folders = {name: slot.library(library) for name, library in libraries.items()}
    # What a module prints while it is imported is not the answer: the answer is the last line
    code = code.replace("sys.stdout.write(", "sys.stdout.write('\\n' + ")
    wanted = [*modules, *([f"={application}"] if application else [])]
    named = ", ".join(each.lstrip("=") for each in wanted)
    settings = {**(environment or {}), "OS_DATABASE__CONNECTION": "sqlite://", **_HOME}
    try:
        result = systemd.run_in_unit(
            machine,
            unit,
            development.overriding(
                [slot.python, "-c", code, package, ",".join(wanted), slot.checkout, json.dumps(folders)], settings
            ),
            user=user,
            group=group,
            cwd="/",
            properties={**_APART, "PrivateNetwork": "yes"},
            timeout=_SECONDS,
        )
    except CommandTimeout as error:
        raise DevswapError(
            f"cannot import {named}: that had not ended after {_SECONDS / 60:.0f} minutes", hint=_MEND
        ) from error
    except CommandFailed as error:
        raise _import_failed(named, error.result.stderr, error.result.tail) from error
    found = json.loads(result.stdout.splitlines()[-1])
    _assert_readable(found["count"], found["unreadable"], slot, user)
    _assert_origins(found, package, _origin(slot, installed=installed), folders)


# A folder of its own for what libraries cache below HOME (stevedore does): it goes with the unit
_APART = {"PrivateTmp": "yes"}
_HOME = {"HOME": "/tmp"}  # noqa: S108 - its own, see _APART


def _origin(slot: Slot, *, installed: bool) -> str:
    return slot.overlay if installed else slot.checkout


def _assert_origins(found: Mapping[str, Any], package: str, origin: str, libraries: Mapping[str, str]) -> None:
    _assert_origin(found["place"], package, origin)
    for name, folder in libraries.items():
        _assert_origin(found["apart"][name], name, folder)


def _assert_origin(place: str | None, package: str, folder: str) -> None:
    if place is None:
        raise DevswapError(f"cannot find the package {package}: neither the checkout nor production has it")
    if not place.startswith(f"{folder}/"):
        raise DevswapError(
            f"the package {package} would not come from the checkout but from {place}",
            hint="this is not the code you want to run; remove the overlay from the cache and prepare again",
        )


def _assert_readable(count: int, examples: Sequence[str], slot: Slot, user: str) -> None:
    if count:
        raise unreadable(count, [path.removeprefix(f"{slot.checkout}/") for path in examples], user)


def unreadable(count: int, examples: Sequence[str], user: str) -> DevswapError:
    """The error for a checkout whose files the service's user may not read; it is the user's tree, so they mend it."""
    names = ", ".join(examples[:3])
    files = "1 file" if count == 1 else f"{count} files"
    return DevswapError(
        f"the service's user {user} cannot read {files} of the checkout, such as {names}",
        hint="make them readable: chmod -R go+rX on the checkout's folder",
    )


def _import_failed(module: str, stderr: str, tail: str) -> DevswapError:
    lines = [line for line in stderr.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else tail
    trace = "\n".join(lines[-_TAIL_LINES:])
    hint = _MEND
    if last.startswith(("ModuleNotFoundError", "ImportError")):
        hint = "is a file of the change missing, or a requirement in requirements.txt? production has not been touched"
    return DevswapError(f"cannot import {module}: {last}\n{trace}", hint=hint)
