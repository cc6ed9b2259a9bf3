"""When a swap runs its hooks: which were found is kept in its journal, and so is what they are told."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from devswap import hook_run
from devswap.deployment import Deployment
from devswap.errors import DevswapError
from devswap.hook_run import Declared
from devswap.hooks import HOST, MACHINE, MIGRATED, PREPARED, RESTORED, STARTED, STOPPED, Hook
from devswap.host import Host
from devswap.journal import Journal, Swap
from devswap.masking import mask
from devswap.overlay import Overlay
from devswap.slot import NOTHING, Made, Mount, Slot
from devswap.sources import Sources
from devswap.steps.file import MakeFile, require_new
from devswap.steps.hook import RunHook
from devswap.steps.step import Step, from_json


@dataclass(frozen=True)
class Hooked:
    """What the hooks of a checkout add to its takeover."""

    hooks: tuple[Hook, ...] = ()
    told: Mapping[str, Any] | None = None
    files: tuple[Declared, ...] = ()
    made: Made = NOTHING
    environment: Mapping[str, str] = field(default_factory=dict)
    """What development has besides."""

    @property
    def stopped(self) -> list[Step]:
        """Once production is stopped: the files first, so that the hooks find them."""
        on = self.told["machine"] if self.told else ""
        made = [MakeFile(on, path=file.path, text=file.text, mode=file.mode) for file in self.files]
        return [*made, *self._steps(STOPPED)]

    @property
    def migrated(self) -> list[Step]:
        """Once the database is as the checkout needs it, before development is let run."""
        return list(self._steps(MIGRATED))

    def as_json(self) -> dict[str, Any]:
        return {"told": self.told, "found": [asdict(hook) for hook in self.hooks]} if self.hooks else {}

    def _steps(self, stage: str) -> Iterator[Step]:
        for hook in self.hooks:
            if hook.stage == stage and self.told:
                yield RunHook(self.told["machine"], service=self.told["service"], hook=hook, told=json.dumps(self.told))


def is_of_hooks(step: Step) -> bool:
    """Whether a hook has asked for it: another checkout's hooks ask anew."""
    return isinstance(step, MakeFile | RunHook)


def found(host: Host, deployment: Deployment) -> tuple[Hook, ...]:
    """Raises DevswapError for one that must not run here."""
    service = deployment.service
    hooks = host.hooks(service.project, service.name)
    own = [hook.path for hook in hooks if hook.uid != 0]
    if own and deployment.user in ("root", "0"):
        raise DevswapError(
            f"{own[0]} is no file of root's, and {deployment.unit} in {deployment.machine.name} runs as root",
            hint="root may put it into /etc/devswap/hooks",
        )
    return hooks


def mounts(
    cache: Path, deployment: Deployment, hooks: Sequence[Hook], sources: Sources, place: Slot, account: tuple[int, int]
) -> tuple[Mount, ...]:
    """A folder in `cache` for hooks that make something, the checkout's own and the service's user's to write.

    All may read it: a web server that shows what is in it need not be that user.
    """
    if not any(hook.makes for hook in hooks):
        return ()
    # Of this slot of this machine alone: what another checkout has made may be serving
    where = (deployment.machine.address, place.made)
    parts = (*where, str(sources.checkout.path), deployment.interpreter.version, str(account))
    folder = cache / "made" / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier swap has made there, or whoever ran in it
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, *account)
    folder.chmod(0o755)
    return (Mount(folder, place.made, readonly=False, passing=True),)


def prepared(
    host: Host, deployment: Deployment, hooks: Sequence[Hook], sources: Sources, built: Overlay, place: Slot, swap: Swap
) -> Hooked:
    """Run those that are to be run while production serves; what they declare is looked at here, too.

    Raises DevswapError where one fails or declares what must not be: production has not been touched.
    """
    if not hooks:
        return Hooked()
    told, machine = _told(deployment, sources, built, place, swap), deployment.machine
    files: list[Declared] = []
    made: list[Made] = []
    environment: dict[str, str] = {}
    for hook in hooks:
        if hook.stage == PREPARED:
            host.say(f"running the hook {hook.path}")
            answer = hook_run.call(hook, machine, told, host.say)
            files += answer.files
            made += [answer.made] if answer.made != NOTHING else []
            environment |= answer.environment
    ours = {path for entry in _entries(host, swap) for path in entry.files}
    for file in files:
        if file.path not in ours:
            require_new(machine, file.path)
    if len({file.path for file in files}) < len(files):
        raise DevswapError("two hooks declare the same file", hint="let one of them do so")
    return Hooked(tuple(hooks), told, tuple(files), _together(deployment, made), environment)


def _together(deployment: Deployment, made: Sequence[Made]) -> Made:
    """Raises DevswapError for what no web server could be told."""
    if not made:
        return NOTHING
    if deployment.hosted is None:
        raise DevswapError(
            f"a hook of {deployment.service.name} has something for Apache, which does not run it"
            f" in {deployment.machine.name}",
            hint="only what Apache runs by itself, with mod_wsgi, can be told of it",
        )
    if len(made) > 1:
        raise DevswapError("two hooks have made something for the web server", hint="let one of them do so")
    return made[0]


def started(host: Host, swap: Swap) -> None:
    """Development answers. A hook that fails is only told: it serves all the same."""
    _run(host, swap, STARTED)


def restored(host: Host, swap: Swap) -> None:
    """Production is back, and its journal gone."""
    _run(host, swap, RESTORED)


def _run(host: Host, swap: Swap, stage: str) -> None:
    for each in swap.hooks.get("found", ()):
        hook = Hook(**each)
        if hook.stage != stage:
            continue
        try:
            hook_run.call(hook, host.machine(swap.machine), swap.hooks["told"], host.say)
        except (DevswapError, OSError) as error:
            host.say(f"warning: {error}")


def _entries(host: Host, swap: Swap) -> Iterator[MakeFile]:
    journal: Journal | None = host.journals.find(swap.service, swap.machine)
    for entry in journal.entries if journal else ():
        step = from_json(entry.step)
        if isinstance(step, MakeFile):
            yield step


def _told(deployment: Deployment, sources: Sources, built: Overlay, place: Slot, swap: Swap) -> dict[str, Any]:
    """The document but for the stage, with what depends on where a hook runs apart.

    No secrets: what is in production's configuration, a hook reads there.
    """
    service, checkout = deployment.service, sources.checkout
    return {
        "version": 1,
        "service": service.name,
        "project": service.project,
        "machine": swap.machine,
        "unit": swap.unit,
        "user": deployment.user,
        "group": deployment.group,
        "ref": mask(checkout.ref),
        "commit": checkout.commit,
        "subject": checkout.subject,
        "files": hook_run.folder(service.name),
        "production": {
            "virtualenv": deployment.interpreter.virtualenv,
            "python": deployment.interpreter.path,
            "config": list(deployment.config_files),
        },
        "places": {
            HOST: {"checkout": str(checkout.path), "overlay": str(built.folder)},
            MACHINE: {"checkout": place.checkout, "overlay": place.overlay, "made": place.made},
        },
    }
