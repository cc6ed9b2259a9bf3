"""What a project needs, and what of it production's packages do not give. Pure: texts in, texts out.

Markers are judged for the machine's Python, which need not be the host's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

# openstack_heat-26.0.0.dist-info, heat-1.0-py3.11.egg-info; a folder with no version in its name is not judged
_METADATA_NAME = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+?)(?:-py[\d.]+)?\.(?:dist|egg)-info$")


@dataclass(frozen=True)
class Unmet:
    """A requirement that production does not satisfy: its text as pip takes it, and why it is needed."""

    name: str
    requirement: str
    why: str


@dataclass(frozen=True)
class Package:
    """A package production has. `metadata` is the name of its metadata folder (or file)."""

    name: str
    version: str
    metadata: str


def packages(names: Iterable[str]) -> dict[str, Package]:
    """The packages of a site folder by canonical name, from the names in it."""
    found: dict[str, Package] = {}
    for entry in names:
        if match := _METADATA_NAME.match(entry):
            name = canonicalize_name(match["name"])
            found[name] = Package(name, match["version"], entry)
    return found


@dataclass(frozen=True)
class Production:
    """What production has, and the Python it runs on.

    `requires` gives the Requires-Dist lines of a package by canonical name; it is asked only where extras are wanted.
    """

    packages: Mapping[str, Package]
    environment: Mapping[str, str]
    requires: Callable[[str], Sequence[str]]

    def version(self, name: str) -> str | None:
        package = self.packages.get(canonicalize_name(name))
        return package.version if package else None

    def with_libraries(self, given: Mapping[str, tuple[str, str]]) -> Production:
        """As seen behind libraries that are run from checkouts: {canonical name: (version, METADATA text)}."""

        def requires(name: str) -> Sequence[str]:
            return requires_dist(given[name][1]) if name in given else self.requires(name)

        added = {name: Package(name, version, "") for name, (version, _) in given.items()}
        return Production({**self.packages, **added}, self.environment, requires)


def requires_dist(metadata: str) -> list[str]:
    """The requirements that a METADATA or PKG-INFO text lists, markers included."""
    return list(HeaderParser().parsestr(metadata).get_all("Requires-Dist") or [])


def unmet(
    wanted: Iterable[str], production: Production, *, of: str, extras: Collection[str] = (), own: str = ""
) -> list[Unmet]:
    """Those of `wanted` (the requirements of `of`, taken with its `extras`) that production does not satisfy.

    `own` is a name never looked up: a project does not install itself.
    """
    found: dict[str, Unmet] = {}
    for need in _unmet(wanted, production, of, extras, set()):
        if need.name != canonicalize_name(own):
            found.setdefault(need.requirement, need)
    return list(found.values())


def _unmet(
    wanted: Iterable[str], production: Production, of: str, extras: Collection[str], seen: set[Requirement]
) -> Iterator[Unmet]:
    """`seen` has what was followed already: extras may lead back to their own package."""
    for text in wanted:
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if requirement in seen or not _applies(requirement.marker, production.environment, extras):
            continue
        if not _satisfies(production.version(name), requirement):
            requirement.marker = None
            yield Unmet(name, str(requirement), _why(of, requirement, production.version(name)))
        elif requirement.extras:
            whose = f"{requirement.name}[{','.join(sorted(requirement.extras))}]"
            inner = production.requires(name)
            yield from _unmet(inner, production, whose, requirement.extras, {*seen, requirement})


def _why(of: str, requirement: Requirement, present: str | None) -> str:
    need = f"{of} needs {requirement.name}{requirement.specifier}"
    return f"{need}, production has {present}" if present else need


def _applies(marker: Marker | None, environment: Mapping[str, str], extras: Collection[str]) -> bool:
    """A marker counts if it holds with one of the extras, or with none (PEP 508)."""
    if marker is None:
        return True
    return any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras))


def _satisfies(version: str | None, requirement: Requirement) -> bool:
    """A version that is no version (a distribution's own numbering) cannot be judged and is trusted."""
    if version is None or requirement.url is not None:
        return False
    try:
        return requirement.specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def constraints_beside(text: str, production: Production, *, own: str, changing: Collection[str] = ()) -> str:
    """The constraints of a branch as they hold in an overlay on `production`.

    The project itself (`own`) is not constrained: the checkout is what it is. A package that production has stays as it
    is, so for it a pin becomes an upper bound, unless it is to change anyway (`changing`).
    """
    left_alone = {canonicalize_name(name) for name in changing}
    kept = []
    for line in requirement_lines(text):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        if name == canonicalize_name(own) or not _applies(requirement.marker, production.environment, ()):
            continue
        if requirement.url is not None:  # it would say where a package comes from, and that is the indexes' business
            continue
        present = production.version(name)
        kept.append(_bounded(requirement, present) if present and name not in left_alone else line)
    return "".join(f"{line}\n" for line in kept)


def pinned(constraints: str, versions: Mapping[str, str]) -> str:
    """The constraints with these packages (by canonical name) held at the versions that are given, whatever was said.

    They are run from checkouts: pip must not put a release in their place.
    """
    lines = requirement_lines(constraints)
    kept = [line for line in lines if canonicalize_name(Requirement(line).name) not in versions]
    return "".join(f"{line}\n" for line in (*kept, *(f"{name}=={version}" for name, version in versions.items())))


def ruled_out(constraints: str, needs: Iterable[Unmet]) -> dict[str, Unmet]:
    """The lines of `constraints` that pin a version which one of `needs` does not take, each with that need.

    A checkout may be ahead of its branch's constraints: then it is right.
    """
    wanted: dict[str, list[Unmet]] = {}
    for need in needs:
        wanted.setdefault(need.name, []).append(need)
    found: dict[str, Unmet] = {}
    for line in requirement_lines(constraints):
        pin = Requirement(line)
        for need in wanted.get(canonicalize_name(pin.name), ()):
            pins = _pins(pin)
            if pins and not any(_satisfies(version, Requirement(need.requirement)) for version in pins):
                found.setdefault(line, need)
    return found


def held(constraints: str, name: str) -> str | None:
    """The line that pins `name` to one version, if there is one."""
    for line in requirement_lines(constraints):
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) == canonicalize_name(name) and _pins(requirement):
            return f"{requirement.name}{requirement.specifier}"
    return None


def _pins(requirement: Requirement) -> list[str]:
    return [each.version for each in requirement.specifier if each.operator in ("==", "===")]


def _bounded(requirement: Requirement, present: str) -> str:
    pins = _pins(requirement)
    try:
        newest = max([Version(present), *(Version(pin) for pin in pins)])
    except InvalidVersion:
        return str(requirement)
    return f"{requirement.name}<={newest}" if pins else str(requirement)


def requirement_lines(text: str) -> list[str]:
    """The requirements in a requirements.txt: no comments, options or blank lines."""
    lines = [re.sub(r"(^|\s)#.*$", "", line).strip() for line in text.replace("\\\n", "").splitlines()]
    return [line for line in lines if line and not line.startswith("-")]


def combined(requirements: Iterable[str]) -> str:
    """Several requirements of one package as one that asks for all of it."""
    parsed = [Requirement(text) for text in requirements]
    extras = sorted({extra for each in parsed for extra in each.extras})
    specifier = SpecifierSet()
    for each in parsed:
        specifier &= each.specifier
    return f"{parsed[0].name}{'[' + ','.join(extras) + ']' if extras else ''}{specifier}"
