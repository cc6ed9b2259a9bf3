"""Builds one overlay in the machine, from the empty folder to the finished one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from devswap import overlay_version, requirements
from devswap.errors import CommandFailed, DevswapError
from devswap.import_check import unreadable
from devswap.installer import Inside, Installed, Installer
from devswap.masking import mask
from devswap.overlay_request import Library, Request, Seen, build_system, read
from devswap.requirements import Production, Unmet

_OLD_STYLE = ["setuptools"]


class Build:
    """One build, from the empty folder to the finished overlay."""

    def __init__(self, inside: Inside, request: Request, seen: Seen, say: Callable[[str], None]) -> None:
        self._inside = inside
        self._request = request
        self._seen = seen
        self._say = say

    def run(self) -> dict[str, Any]:
        """What is to be noted about the overlay."""
        request = self._request
        system = build_system(request.source)
        needs = [need for tree in request.trees for need in self._build_needs(tree)]
        self._say(
            f"building an overlay for {' with '.join(f'{tree.distribution} {tree.version}' for tree in request.trees)}"
        )
        described = self._environment(system, then_project=not needs)
        before: list[Installed] = []
        backend = ""
        if needs:
            backend = f"{self._inside.slot.build}/backend"
            before = self._install(needs, self._production({}), into=backend)
            described = self._project(system, backend)
        found = [described, *(self._library(library, backend) for library in request.libraries)]
        trees = list(zip(request.trees, found, strict=True))
        installed = self._requirements(trees)
        return {
            "installed": [each.as_json() for each in (*before, *installed)],
            "console_scripts": described["console_scripts"],
            "libraries": {tree.name: of["packages"] for tree, of in trees[1:]},
            "own_version": not all(overlay_version.follows(of["metadata"], tree.version) for tree, of in trees),
        }

    def _build_needs(self, tree: Library) -> list[Unmet]:
        """What the build of a tree needs that production lacks: pbr and setuptools are there almost always."""
        wanted = list(build_system(tree.source).get("requires", _OLD_STYLE))
        if "pbr" in read(tree.source / "setup.py") and not any(text.startswith("pbr") for text in wanted):
            wanted.append("pbr")
        if any(text.startswith("pbr") for text in wanted) and not any(text.startswith("setuptools") for text in wanted):
            wanted.append("setuptools")
        version = self._request.interpreter.version
        environment = {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": "linux"}
        return requirements.unmet(wanted, self._production(environment), of=f"the build of {tree.distribution}")

    def _environment(self, system: Mapping[str, Any], *, then_project: bool) -> dict[str, Any]:
        sources = "src" if (self._request.source / "src" / self._request.package).is_dir() else ""
        plan = {
            "site_folders": self._request.interpreter.site_folders,
            "sources": sources,
            "package": self._request.package,
            "bytecode": self._inside.slot.bytecode,
            "installed": self._request.package if self._request.installed else "",
            "then_project": then_project,
            "build_system": system,
            "libraries": [
                [self._inside.slot.library(library.name), library.sources] for library in self._request.libraries
            ],
        }
        return self._run(self._request, [self._request.interpreter.path, "-I", "-B"], "environment", plan, {})

    def _project(self, system: Mapping[str, Any], backend: str) -> dict[str, Any]:
        plan = {"build_system": system}
        return self._run(self._request, [self._inside.slot.python, "-B"], "project", plan, {"PYTHONPATH": backend})

    def _library(self, library: Library, backend: str) -> dict[str, Any]:
        """The same for a library, whose metadata then stand before production's."""
        slot = self._inside.slot
        plan = {
            "build_system": build_system(library.source),
            "checkout": slot.library(library.name),
            "build": f"{slot.build}/with/{library.name}",
        }
        return self._run(library, [slot.python, "-B"], "project", plan, {"PYTHONPATH": backend})

    def _run(
        self,
        tree: Request | Library,
        python: Sequence[str],
        command: str,
        plan: Mapping[str, object],
        env: Mapping[str, str],
    ) -> dict[str, Any]:
        try:
            answer = self._inside.run(python, command, plan, env={**_pbr(tree.version), **env}).stdout
        except CommandFailed as error:
            said = error.result.stderr.strip().splitlines() or [f"it ended with {error.result.code}"]
            raise DevswapError(
                f"cannot read the metadata of {tree.source}: {mask(said[-1].strip())}",
                hint="do its setup.cfg and pyproject.toml build elsewhere? the run's log has all that the build said",
            ) from error
        found: dict[str, Any] = json.loads(answer)
        if names := found.get("unreadable"):
            raise unreadable(len(names), names, self._request.user)
        return found

    def _requirements(self, trees: Sequence[tuple[Library, Mapping[str, Any]]]) -> list[Installed]:
        """A library's requirements are treated like the project's; the libraries themselves are what they are."""
        (_, described), *libraries = trees
        given = {library.name: (library.version, found["metadata"]) for library, found in libraries}
        production = self._production(described["environment"]).with_libraries(given)
        needs = [need for tree, found in trees for need in self._unmet(tree, found, production)]
        needs += requirements.unmet(list(self._request.tools), production, of="the developer")
        for need in needs:
            if need.name in given:
                self._say(f"{need.why.replace('production has', 'but is given')}: it is run all the same")
        needs = [need for need in needs if need.name not in given]
        if not needs:
            return []
        self._say(f"production lacks {', '.join(need.requirement for need in needs)}")
        installed = self._install(needs, production)
        self._inside.run([self._inside.slot.python, "-I", "-B"], "relocate", {})
        return installed

    def _unmet(self, tree: Library, found: Mapping[str, Any], production: Production) -> list[Unmet]:
        own = self._request.distribution
        extras = self._request.extras if tree.distribution == own else ()
        wanted = requirements.requires_dist(found["metadata"])
        return requirements.unmet(wanted, production, of=tree.distribution, extras=extras, own=own)

    def _install(self, needs: Sequence[Unmet], production: Production, *, into: str | None = None) -> list[Installed]:
        request = self._request
        changing = [need.name for need in needs]
        limits = requirements.constraints_beside(
            request.constraints, production, own=request.distribution, changing=changing
        )
        limits = self._without_ruled_out(limits, needs)
        limits = requirements.pinned(limits, {each.name: each.version for each in request.libraries})
        installer = Installer(self._inside, self._seen.indexes, request.policy, production, self._say)
        return installer.install(needs, limits, into=into)

    def _without_ruled_out(self, limits: str, needs: Sequence[Unmet]) -> str:
        out = requirements.ruled_out(limits, needs)
        for line, need in out.items():
            self._say(f"the constraint {line} is left out: {need.why}")
        return "".join(f"{line}\n" for line in requirements.requirement_lines(limits) if line not in out)

    def _production(self, environment: Mapping[str, str]) -> Production:
        return Production(
            {name: found for name, (_, found) in self._seen.packages.items()}, environment, self._requires
        )

    def _requires(self, name: str) -> list[str]:
        folder, package = self._seen.packages[name]
        for file in ("METADATA", "PKG-INFO"):
            if text := self._inside.machine.read_text(f"{folder}/{package.metadata}/{file}"):
                return requirements.requires_dist(text)
        return []


def _pbr(version: str) -> dict[str, str]:
    """pbr asks git for the version, the authors and the history; there is none in the machine."""
    return {
        "PBR_VERSION": version,
        "SETUPTOOLS_SCM_PRETEND_VERSION": version,
        "SKIP_GIT_SDIST": "1",
        "SKIP_GENERATE_AUTHORS": "1",
        "SKIP_WRITE_GIT_CHANGELOG": "1",
        "SKIP_GENERATE_RENO": "1",
    }
