"""Builds an overlay inside the machine: run there as the service's user, by production's interpreter or the overlay's.

A file of its own, copied with inside_metadata.py beside virtualenv and pip into the tools folder: it imports nothing of
devswap, runs on any Python that virtualenv builds for, and starts no process but by becoming it. What it is to do comes
as JSON: the plan as an argument, what may hold secrets on standard input. What it found leaves as JSON on standard
output.
"""

from __future__ import annotations

import compileall
import configparser
import contextlib
import importlib.util
import json
import os
import py_compile
import shutil
import sys
from typing import Any, NoReturn

# A shebang with no path in it: the overlay is mounted at another place for each service (distlib's own form)
_RELOCATABLE = b'#!/bin/sh\n\'\'\'exec\' "$(dirname -- "$(realpath -- "$0")")/python" "$0" "$@"\n\' \'\'\'\n'
_SCRIPT = """# -*- coding: utf-8 -*-
import sys
from {module} import {first}
if __name__ == "__main__":
    sys.exit({call}())
"""
# pbr's wsgi_scripts: a web server imports the file and finds `application` in it
_WSGI_SCRIPT = """# -*- coding: utf-8 -*-
from {module} import {first}
application = {call}()
if __name__ == "__main__":
    import wsgiref.simple_server as server
    server.make_server("", 8000, application).serve_forever()
"""
_OWN_SCRIPT = """# -*- coding: utf-8 -*-
import os, runpy
_bin = os.path.dirname(os.path.realpath(__file__))
runpy.run_path(os.path.join(_bin, {path!r}), run_name="__main__")
"""


def environment(plan: dict[str, Any]) -> None:
    """Make the empty virtualenv that looks through to the checkout, then to production."""
    unreadable = [path for folder in _trees(plan) for path in _unreadable(folder)]
    if unreadable:
        _emit({"unreadable": unreadable})
    if not plan["installed"]:
        _compile_meanwhile(plan)
    _make_virtualenv(plan["overlay"], plan["tools"])
    site_packages = _site_packages(plan["overlay"])
    with open(os.path.join(site_packages, "_devswap.pth"), "w", encoding="utf-8") as file:
        file.write(_path_file(plan, site_packages))
    _add_debugger(plan, site_packages)
    _remove_activation(plan["overlay"])
    if plan["then_project"]:
        _become([os.path.join(plan["overlay"], "bin", "python"), "-B", __file__, "project", json.dumps(plan)])
    _emit({})


def project(plan: dict[str, Any]) -> None:
    """Read the checkout's metadata and write it into the overlay, with the scripts it names."""
    checkout, build = plan["checkout"], plan["build"]
    shadow = os.path.join(build, "source")
    metadata = _beside("inside_metadata")
    metadata.make_shadow(checkout, shadow)
    written = os.path.join(build, "metadata")
    os.makedirs(written, exist_ok=True)
    folder = os.path.join(written, metadata.made(shadow, written, plan["build_system"]))
    target = os.path.join(_site_packages(plan["overlay"]), os.path.basename(folder))
    metadata.complete(folder)
    shutil.copytree(folder, target)
    bin_folder = os.path.join(plan["overlay"], "bin")
    points = metadata.entry_points(target)
    _write_scripts(bin_folder, points)
    _write_own_scripts(bin_folder, shadow, checkout)
    _emit(
        {
            "metadata": metadata.read(os.path.join(target, "METADATA")),
            "packages": sorted(metadata.packages(target, checkout)),
            "console_scripts": points.get("console_scripts", {}),
            "environment": metadata.marker_environment(),
        }
    )


def pip(plan: dict[str, Any]) -> None:
    """Become pip. Its environment and the files it reads come on standard input: they may name an index's password."""
    given = json.load(sys.stdin)
    for name, text in given["files"].items():
        with open(os.path.join(plan["build"], name), "w", encoding="utf-8") as file:
            file.write(text)
    os.environ.update(given["environment"])
    os.chdir(plan["build"])
    # the folder, not the script in it: only so pip finds itself
    _become(
        [os.path.join(plan["overlay"], "bin", "python"), os.path.join(plan["tools"], "pip", "pip"), *plan["arguments"]]
    )


def relocate(plan: dict[str, Any]) -> None:
    """Take the overlay's present place out of the scripts that pip wrote."""
    bin_folder = os.path.join(plan["overlay"], "bin")
    fixed = b"#!" + os.path.join(bin_folder, "python").encode()
    for name in os.listdir(bin_folder):
        path = os.path.join(bin_folder, name)
        if os.path.islink(path):
            continue
        with open(path, "rb") as file:
            first, _, rest = file.read().partition(b"\n")
        if first.startswith(fixed):
            _write_script(path, rest)
    _emit({})


def _make_virtualenv(overlay: str, tools: str) -> None:
    """With virtualenv; with Python's own module where what virtualenv needs is too new for this Python.

    The host has those packages for its own Python: how they fail on an older one is not foreseeable.
    """
    sys.path.insert(0, tools)
    try:
        from virtualenv import cli_run
    except Exception:
        import venv

        venv.create(overlay, symlinks=True, with_pip=False)
    else:
        cli_run([overlay, "--no-seed", "--activators", "", "--no-vcs-ignore", "--no-periodic-update"])


def _unreadable(folder: str) -> Any:
    """The files of the checkout that this user may not read; version control's own do not count."""
    if not os.access(folder, os.R_OK | os.X_OK):
        yield "."
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in [*folders, *names]:
            path = os.path.join(parent, name)
            if not name.startswith(".") and not os.path.islink(path) and not os.access(path, os.R_OK):
                yield os.path.relpath(path, folder)


def _trees(plan: dict[str, Any]) -> list[str]:
    """The checkout and those of libraries."""
    return [plan["checkout"], *(folder for folder, _ in plan["libraries"])]


def _path_file(plan: dict[str, Any], site_packages: str) -> str:
    """The checkout and the libraries before production's packages: production has packages of the same names."""
    sources = os.path.join(plan["checkout"], plan["sources"])
    if plan["installed"]:
        _install(os.path.join(sources, plan["installed"]), os.path.join(site_packages, plan["installed"]))
    for name in ("bytecode", "serve"):
        shutil.copy(os.path.join(plan["tools"], f"{name}.py"), os.path.join(site_packages, f"_devswap_{name}.py"))
    libraries = [os.path.relpath(os.path.join(*library), site_packages) for library in plan["libraries"]]
    lines = [
        "import _devswap_bytecode",
        *([] if plan["installed"] else [os.path.relpath(sources, site_packages)]),
        *libraries,
        *(f"import site; site.addsitedir({folder!r})" for folder in plan["site_folders"]),
    ]
    return "".join(f"{line}\n" for line in lines)


def _install(package: str, target: str) -> None:
    """The package with all its files: what a build without version control leaves out is needed as well."""
    shutil.copytree(package, target, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(target, quiet=2)


def _compile_meanwhile(plan: dict[str, Any]) -> None:
    """Compile the checkout's package in another process, where its service will look for it: see bytecode.py.

    That ends with the build, however far it has come: what is missing then is compiled by the import check.
    """
    if os.fork():
        return
    try:
        top = os.path.join(plan["checkout"], plan["sources"], plan["package"])
        for parent, folders, names in os.walk(top):
            folders[:] = sorted(name for name in folders if name not in ("tests", "__pycache__"))
            for name in sorted(names):
                path = os.path.join(parent, name)
                # no pipe, no device, no data of any size under the name of a module
                if name.endswith(".py") and os.path.isfile(path) and os.path.getsize(path) < 4 << 20:
                    cached = os.path.relpath(importlib.util.cache_from_source(path), plan["checkout"])
                    with contextlib.suppress(Exception):  # told by what imports it, if anything does
                        py_compile.compile(path, os.path.join(plan["bytecode"], cached), doraise=True)
    finally:
        os._exit(0)


def _remove_activation(overlay: str) -> None:
    for name in os.listdir(os.path.join(overlay, "bin")):
        if name.lower().startswith("activate"):
            os.unlink(os.path.join(overlay, "bin", name))


def _add_debugger(plan: dict[str, Any], site_packages: str) -> None:
    """Asleep unless the service is told to have one; after the other path file, and no failure of it can spoil that."""
    package = os.path.join(site_packages, "_devswap_debugger")
    shutil.copytree(os.path.join(plan["tools"], "debugger"), package)
    compileall.compile_dir(package, quiet=2)
    with open(os.path.join(site_packages, "_devswap_debugger.pth"), "w", encoding="utf-8") as file:
        file.write('import os; "DEVSWAP_DEBUGGER" in os.environ and __import__("_devswap_debugger.start")\n')


def _site_packages(overlay: str) -> str:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return os.path.join(overlay, "lib", version, "site-packages")


def _write_scripts(bin_folder: str, points: dict[str, dict[str, str]]) -> None:
    for group, template in (("console_scripts", _SCRIPT), ("gui_scripts", _SCRIPT), ("wsgi_scripts", _WSGI_SCRIPT)):
        for name, target in points.get(group, {}).items():
            module, _, call = target.partition("[")[0].strip().partition(":")
            text = template.format(module=module.strip(), first=call.split(".")[0].strip(), call=call.strip())
            _write_script(os.path.join(bin_folder, name), text.encode())


def _write_own_scripts(bin_folder: str, shadow: str, checkout: str) -> None:
    """Scripts that are files of the checkout (swift's): run from there, so that an edit counts."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read(os.path.join(shadow, "setup.cfg"), encoding="utf-8")
    for section in ("files", "options"):
        for path in parser.get(section, "scripts", fallback="").split():
            if os.path.isfile(os.path.join(shadow, path)):
                text = _OWN_SCRIPT.format(path=os.path.relpath(os.path.join(checkout, path), bin_folder))
                _write_script(os.path.join(bin_folder, os.path.basename(path)), text.encode())


def _write_script(path: str, body: bytes) -> None:
    with open(path, "wb") as file:
        file.write(_RELOCATABLE + body)
    os.chmod(path, 0o755)  # noqa: S103 - programs are for everybody


def _beside(name: str) -> Any:
    """Another file of this folder as a module: an isolated Python looks for none there."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(os.path.dirname(__file__), f"{name}.py"))
    assert spec is not None  # noqa: S101
    assert spec.loader is not None  # noqa: S101 - the file was copied with this one
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _become(argv: list[str]) -> NoReturn:
    os.execv(argv[0], argv)  # noqa: S606 - the same process goes on


def _emit(found: dict[str, Any]) -> NoReturn:
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    sys.exit(0)


if __name__ == "__main__":
    {"environment": environment, "project": project, "pip": pip, "relocate": relocate}[sys.argv[1]](
        json.loads(sys.argv[2])
    )
