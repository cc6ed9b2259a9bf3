"""What a person changes in how development runs: settings, workers, breakpoints. It is kept for the swap."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from devswap import masking
from devswap.errors import UsageError

DEBUG = "DEFAULT.debug"
_PROCESSES = "--processes"
PDB = "pdb"
DEBUGPY = "debugpy"
DEBUGGERS = (PDB, "pudb", DEBUGPY)


@dataclass(frozen=True)
class Tuning:
    """What is in force."""

    settings: Mapping[str, str] = field(default_factory=dict)
    """By GROUP.OPTION."""
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The same of options that are given several times."""
    workers: int | None = None
    workers_settings: tuple[str, ...] = ()
    """The variables that say how many workers there are."""
    breakpoints: tuple[str, ...] = ()
    """As they were typed: see breakpoints.py."""
    post_mortem: bool = False
    debugger: str = PDB
    listen: str = ""
    """ADDRESS:PORT of a debugger that is used from elsewhere."""
    wait_for_client: bool = False
    launch_folder: str = ""
    """Where launch.json is written at each start, from the checkout; empty for nowhere."""

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Tuning:
        """What `as_json` wrote; a journal from before there was any has none."""
        lists = {name: tuple(values) for name, values in kept.get("lists", {}).items()}
        texts = {name: tuple(kept.get(name, ())) for name in ("workers_settings", "breakpoints")}
        return cls(**{**kept, **texts, "lists": lists})

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def waits_for_client(self) -> bool:
        """Whether it does not serve before an editor has attached."""
        return self.debugger == DEBUGPY and self.wait_for_client

    def environment(self) -> dict[str, str]:
        """As variables of oslo.config, which beat every configuration file."""
        set_now = {_variable(name): value for name, value in self.settings.items()}
        return {**{name: str(self.workers) for name in self.workers_settings}, **set_now}

    def argv(self, development: Sequence[str]) -> list[str]:
        """`development`'s own; uWSGI's workers are named on its command line."""
        words = list(development)
        if self.workers and _PROCESSES in words:
            last = len(words) - 1 - words[::-1].index(_PROCESSES)  # production's own may come before ours
            words[last + 1] = str(self.workers)
        return words

    def with_lists(self, names: Collection[str]) -> Tuning:
        """The settings of `names` as those of options that are given several times: once each."""
        once = {name: value for name, value in self.settings.items() if name not in names}
        lists = {name: (value,) for name, value in self.settings.items() if name in names}
        return replace(self, settings=once, lists={**self.lists, **lists})

    def lines(self) -> list[str]:
        """For people: one line for each kind of thing that is in force."""
        words = [f"{name}={value}" for name, value in self.settings.items()]
        words += [f"{name}={value}" for name, values in self.lists.items() for value in values]
        words += [f"{self.workers} workers"] if self.workers else []
        words += ["post-mortem"] if self.post_mortem else []
        words += [f"debugger {self.debugger} {self.listen}".rstrip()] if self.debugger != PDB else []
        found = [f"set: {', '.join(words)}"] if words else []
        return [*found, *(f"breakpoint: {each}" for each in self.breakpoints)]


@dataclass(frozen=True)
class Changes:
    """What a command line asks for; what it does not name stays as it is."""

    settings: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    workers: int | None = None
    breakpoints: tuple[str, ...] = ()
    clear: bool = False
    """The breakpoints there were are forgotten."""
    post_mortem: bool | None = None
    debugger: str | None = None
    listen: str | None = None
    wait_for_client: bool | None = None
    launch_folder: str | None = None

    @property
    def for_an_editor(self) -> str:
        """An option that only a debugger has which is used from elsewhere; empty where none is said."""
        said = {
            "--listen": self.listen,
            "--wait-for-client": self.wait_for_client,
            "--write-launch": self.launch_folder,
        }
        return next((name for name, value in said.items() if value), "")

    def applied(self, to: Tuning, *, service: str, one_worker: Collection[str], argv: Sequence[str]) -> Tuning:
        """Raises UsageError where `service` has no number of workers.

        It is in the variables `one_worker`, or in development's `argv`.
        """
        if self.workers is not None and not one_worker and _PROCESSES not in argv:
            raise UsageError(f"the number of workers of {service} cannot be set", hint="leave --workers out")
        known = () if self.clear else to.breakpoints
        again = {*self.unset, *self.settings, *self.lists}
        return replace(
            to,
            settings={**{name: value for name, value in to.settings.items() if name not in again}, **self.settings},
            lists={**{name: values for name, values in to.lists.items() if name not in again}, **self.lists},
            workers=to.workers if self.workers is None else self.workers,
            workers_settings=to.workers_settings if self.workers is None else tuple(sorted(one_worker)),
            breakpoints=tuple(dict.fromkeys([*known, *self.breakpoints])),
            post_mortem=to.post_mortem if self.post_mortem is None else self.post_mortem,
            debugger=self.debugger or to.debugger,
            listen=to.listen if self.listen is None else self.listen,
            launch_folder=to.launch_folder if self.launch_folder is None else self.launch_folder,
            wait_for_client=to.wait_for_client if self.wait_for_client is None else self.wait_for_client,
        )


UNCHANGED = Changes()


def settings(words: Collection[str]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """{GROUP.OPTION: VALUE} of GROUP.OPTION=VALUE words, and {GROUP.OPTION: VALUES} of those that are named repeatedly.

    Raises UsageError for what could not take effect.
    """
    found: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set takes GROUP.OPTION=VALUE, not {word!r}", hint="--set DEFAULT.debug=true")
        name = option(name)
        if masking.mask(f"{name.rpartition('.')[2]}={value}") != f"{name.rpartition('.')[2]}={value}":
            raise UsageError(
                f"{name} holds a secret, which the command line of the unit would show to everybody",
                hint="set it in a configuration file of the machine",
            )
        found.setdefault(name, []).append(value)
    once = {name: values[0] for name, values in found.items() if len(values) == 1}
    lists = {name: tuple(values) for name, values in found.items() if len(values) > 1}
    require_lines(lists)
    return once, lists


def require_lines(lists: Mapping[str, Sequence[str]]) -> None:
    """Raises UsageError for a value that a line of a configuration file cannot hold."""
    if broken := [name for name, values in lists.items() if any(set("\r\n") & set(value) for value in values)]:
        raise UsageError(f"a value of {broken[0]} has several lines", hint="give each value a --set of its own")


def option(name: str) -> str:
    """GROUP.OPTION as oslo.config writes it; raises UsageError for anything else."""
    group, _, own = name.rpartition(".")
    if not group or not own.replace("-", "_").isidentifier() or any(not part for part in group.split(".")):
        raise UsageError(f"{name!r} is not GROUP.OPTION", hint=f"DEFAULT.{own or 'debug'}, as in a file's [DEFAULT]")
    # To oslo.config no other group is called differently in other letters (cfg.py: _normalize_group_name).
    group = "DEFAULT" if group.upper() == "DEFAULT" else group
    return f"{group}.{own.replace('-', '_')}"


def _variable(name: str) -> str:
    group, _, own = name.rpartition(".")
    return f"OS_{group.upper()}__{own.upper()}"
