"""Puts what production lacks into an overlay: from the private index, from the public one for what is missing there.

pip resolves and installs; it is only told which index it may ask. Where both could serve a name, pip would take the
higher version wherever it is: a stranger's upload could replace the cloud's own package. So the private index is asked
alone, and what it turns out not to have is fetched by name from the public one into a folder beside it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NoReturn

from devswap import pip_answers, systemd
from devswap.errors import CommandFailed, DevswapError, PackagesRefused
from devswap.machine import Machine
from devswap.masking import mask
from devswap.package_index import PRIVATE, PUBLIC, Indexes, IndexPolicy
from devswap.pip_answers import Missing
from devswap.process import Result
from devswap.requirements import Production, Unmet, combined, held
from devswap.slot import Slot

_FETCHED = "public"
_ROUNDS = 60
_REPORT = "report.json"
# pip names the parties of a conflict only when it is not --quiet
_INSTALL = ("install", "--report", _REPORT, "--progress-bar", "off", "--no-cache-dir", "--no-warn-script-location")
_TABLE_LIMIT = 8


@dataclass(frozen=True)
class Installed:
    """A package in the overlay: what it replaces (None: production has none), where it came from, who needs it."""

    name: str
    version: str
    previous: str | None
    origin: str
    why: str
    constraint: str | None = None
    """What held it at its version."""
    sha256: str | None = None
    """Of the file it came from."""

    def as_json(self) -> dict[str, str | None]:
        return asdict(self)


@dataclass(frozen=True)
class Inside:
    """Runs inside.py in the machine, as the service's user, in a unit that can be ended by its name."""

    machine: Machine
    slot: Slot
    unit: str
    user: str
    group: str

    def run(
        self,
        python: Sequence[str],
        command: str,
        plan: Mapping[str, object],
        *,
        env: Mapping[str, str] | None = None,
        secret: Mapping[str, object] | None = None,
    ) -> Result:
        """`secret` goes to its standard input: neither a command line nor a file shows it."""
        places = {name: getattr(self.slot, name) for name in ("checkout", "overlay", "tools", "build")}
        return systemd.run_in_unit(
            self.machine,
            self.unit,
            [*python, f"{self.slot.tools}/inside.py", command, json.dumps({**places, **plan})],
            user=self.user,
            group=self.group,
            cwd=self.slot.build,
            env={
                "HOME": f"{self.slot.build}/home",
                "TMPDIR": f"{self.slot.build}/tmp",  # noqa: S108 - its own
                "PYTHONDONTWRITEBYTECODE": "1",
                "PIP_CONFIG_FILE": "/dev/null",
                "LANG": "C.UTF-8",
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                **(env or {}),
            },
            properties={"UMask": "0022"},
            input=json.dumps(secret) if secret is not None else None,
        )


class Installer:
    """Installs into one overlay under one policy. `say` hears what people should know."""

    def __init__(
        self,
        inside: Inside,
        indexes: Indexes,
        policy: IndexPolicy,
        production: Production,
        say: Callable[[str], None],
    ) -> None:
        self._inside = inside
        self._indexes = indexes
        self._policy = policy
        self._production = production
        self._say = say
        self._fetched: dict[str, set[str]] = {}
        self._heard: set[str] = set()

    def install(self, needs: Sequence[Unmet], constraints: str, *, into: str | None = None) -> list[Installed]:
        """Install `needs` and what they need in turn; `into` is a folder, where the overlay itself is not meant."""
        if not needs:
            return []
        place = ["--target", into] if into else []
        files = {"requirements.txt": _lines(need.requirement for need in needs), "constraints.txt": constraints}
        arguments = [*_INSTALL, *place, "-r", "requirements.txt", "-c", "constraints.txt"]
        report = (
            self._private_first(arguments, files, needs) if self._asks_private() else self._public(arguments, files)
        )
        return [self._installed(package, needs, constraints) for package in pip_answers.taken(report)]

    def _asks_private(self) -> bool:
        """A cloud without a private index has nothing to be asked first; under `private` that is an error in itself."""
        if self._policy == IndexPolicy.PRIVATE and not self._indexes.has_private:
            raise PackagesRefused(
                "cannot install what production lacks: no private index is known for this machine",
                hint="name one in the settings (private_links), or allow the public one",
            )
        return self._policy != IndexPolicy.PUBLIC and self._indexes.has_private

    def _private_first(self, arguments: Sequence[str], files: Mapping[str, str], needs: Sequence[Unmet]) -> str:
        for _ in range(_ROUNDS):
            beside = f"{self._inside.slot.build}/{_FETCHED}" if self._fetched else None
            try:
                return self._install(arguments, self._indexes.ask_private(beside=beside), files)
            except CommandFailed as error:
                said = _said(error.result)
                lacking = self._new(pip_answers.missing(said)) or self._new(pip_answers.conflicting(said))
                if not lacking:
                    _explain(error, self._inside)
                self._require_heard(lacking)
                if self._policy == IndexPolicy.PRIVATE:
                    self._refuse(arguments, files, needs, lacking)
                for each in lacking:
                    self._fetch(each, files)
        raise DevswapError(f"cannot install what production lacks: no end after {_ROUNDS} packages")

    def _require_heard(self, lacking: Sequence[Missing]) -> None:
        """Raise where a private page does not answer, which pip passes over as one that has nothing.

        What it may have is not taken from where anybody can put it, and is not said to be lacking. Asked apart from the
        installation, since a pip that tells of this tells no longer why a build failed.
        """
        if self._heard and not self._indexes.private:
            return  # links are the same pages for all; an index has one for each package
        for name in sorted({each.name for each in lacking} - self._heard):
            arguments = ["index", "versions", name, "-vv", "--retries", "1"]
            try:
                said = _said(self._pip(arguments, self._indexes.ask_private(), {}))
            except CommandFailed as error:
                said = _said(error.result)
            if unheard := pip_answers.unheard(said):
                page, why = unheard
                raise DevswapError(
                    mask(f"the private index, which may have {name}, does not answer: {page}: {why}"),
                    hint="see that it does; or --index-policy public, which asks it for nothing",
                )
            self._heard.add(name)

    def _public(self, arguments: Sequence[str], files: Mapping[str, str]) -> str:
        try:
            return self._install(arguments, self._indexes.ask_public(), files)
        except CommandFailed as error:
            _explain(error, self._inside)

    def _install(self, arguments: Sequence[str], environment: Mapping[str, str], files: Mapping[str, str]) -> str:
        """pip's report of what it installed."""
        self._pip(arguments, environment, files)
        return self._inside.machine.read_text(f"{self._inside.slot.build}/{_REPORT}") or '{"install": []}'

    def _new(self, found: Sequence[Missing]) -> list[Missing]:
        """Those not fetched already, or the same failure would come round for ever; one for each package."""
        return [each for each in pip_answers.by_name(found) if each.requirement not in self._fetched.get(each.name, ())]

    def _fetch(self, lacking: Missing, files: Mapping[str, str]) -> None:
        """Bring one package from the public index into the folder that pip is shown beside the private one."""
        asked = self._fetched.setdefault(lacking.name, set())
        asked.add(lacking.requirement)
        reason = "does not have it"
        if lacking.versions != ():
            reason = f"has only {_some(lacking.versions)}" if lacking.versions else "has no version that fits"
        self._say(f"{lacking.requirement} comes from the public index: the private one {reason}")
        arguments = [
            "wheel",
            "--progress-bar",
            "off",
            "--no-cache-dir",
            "--no-deps",
            "-w",
            _FETCHED,
            "-c",
            "constraints.txt",
        ]
        try:
            self._pip([*arguments, combined(asked)], self._indexes.ask_public(), files)
        except CommandFailed as error:
            _explain(error, self._inside)

    def _refuse(
        self, arguments: Sequence[str], files: Mapping[str, str], needs: Sequence[Unmet], lacking: Sequence[Missing]
    ) -> NoReturn:
        """Name all that the private index lacks, not just the first: ask again for the rest."""
        found = {each.name: each.requirement for each in lacking}
        left = [need for need in needs if need.name not in found]
        while left:
            try:
                rest = {**files, "requirements.txt": _lines(need.requirement for need in left)}
                self._pip([*arguments, "--dry-run"], self._indexes.ask_private(), rest)
                break
            except CommandFailed as error:
                more = {each.name: each.requirement for each in pip_answers.missing(_said(error.result))}
                if not any(need.name in more for need in left):
                    found |= more
                    break
                found |= more
                left = [need for need in left if need.name not in found]
        raise PackagesRefused(
            f"the private index lacks {', '.join(sorted(found.values()))}",
            hint="allow the public index for what is missing",
        )

    def _pip(self, arguments: Sequence[str], environment: Mapping[str, str], files: Mapping[str, str]) -> Result:
        return self._inside.run(
            [self._inside.slot.python, "-I", "-B"],
            "pip",
            {"arguments": list(arguments)},
            secret={"environment": environment, "files": files},
        )

    def _installed(self, package: pip_answers.Taken, needs: Sequence[Unmet], constraints: str) -> Installed:
        whys = {need.name: need.why for need in needs}
        fetched = package.address.startswith(f"file://{self._inside.slot.build}/{_FETCHED}/")
        return Installed(
            name=package.name,
            version=package.version,
            previous=self._production.version(package.name),
            origin=PRIVATE if self._asks_private() and not fetched else PUBLIC,
            why=whys.get(package.name) or f"{package.needed_by or 'another package'} needs it",
            constraint=held(constraints, package.name),
            sha256=package.sha256,
        )


def _explain(error: CommandFailed, inside: Inside) -> NoReturn:
    """pip's failure in a line or two, instead of the two hundred it may have."""
    said = _said(error.result)
    if build := pip_answers.failed_build(said):
        lacks = f": {build.lacks} is missing in {inside.machine.name}" if build.lacks else f"\n{_last(said)}"
        hint = f"install it there: apt-get install {build.install}" if build.install else None
        raise DevswapError(f"cannot compile {build.name}, which has no wheel{lacks}", hint=hint) from error
    if found := pip_answers.missing(said):
        names = ", ".join(each.requirement for each in found)
        hint = "can the machine reach the index? see its pip.conf; or is the version not published?"
        raise DevswapError(f"no index has {names}\n{_last(said)}", hint=hint) from error
    if conflict := pip_answers.conflicting(said):
        names = ", ".join(each.requirement for each in conflict)
        hint = "if a constraint of the branch is the cause: --no-constraints"
        raise DevswapError(f"no choice of versions meets all of {names}", hint=hint) from error
    raise DevswapError(f"cannot install what production lacks: {_last(said)}") from error


def _said(result: Result) -> str:
    """Both streams: the errors, and before them what led there."""
    return f"{result.stdout}\n{result.stderr}"


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith(("ERROR", "WARNING"))] or said.splitlines()
    return mask("\n".join(lines[-4:]))


def _some(versions: Sequence[str]) -> str:
    shown = ", ".join(versions[-_TABLE_LIMIT:])
    return f"…, {shown}" if len(versions) > _TABLE_LIMIT else shown


def _lines(texts: Iterable[str]) -> str:
    return "".join(f"{text}\n" for text in texts)
