"""Reads a service's configuration as oslo.config would, from the files that production is started with.

Files of PasteDeploy (swift's) are near enough for what is asked of them: sections, and options with plain values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from devswap.machine import Machine

_SECTION = re.compile(r"^\[(?P<name>[^\]]+)\]")
_REFERENCE = re.compile(r"\$(?:\{(?P<braced>[\w.]+)\}|(?P<bare>\w+))")


class Configuration:
    """Options by group and name; later files win, and the environment wins over all (oslo.config, "environment")."""

    def __init__(self, texts: Sequence[str], environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._options: dict[tuple[str, str], str] = {}
        for text in texts:
            self._options.update(_parse(text))

    @classmethod
    def of(cls, machine: Machine, files: Sequence[str], environment: Mapping[str, str]) -> Configuration:
        """Read from `files` of the machine; one that does not exist says nothing."""
        return cls([machine.read_text(path) or "" for path in files], environment)

    def get(self, group: str, option: str) -> str | None:
        """The value with references to other options filled in; None where it is not set."""
        named = f"OS_{group.upper().replace('-', '_')}__{option.upper().replace('-', '_')}"
        value = self._environment.get(named, self._options.get((_normal(group), option.replace("-", "_"))))
        return None if value is None else self._filled(group, value, depth=8)

    def listed(self, group: str, option: str) -> tuple[str, ...]:
        """What a value lists, between commas; nothing where it is not set."""
        return tuple(filter(None, (part.strip() for part in (self.get(group, option) or "").split(","))))

    def _filled(self, group: str, value: str, depth: int) -> str:
        def fill(match: re.Match[str]) -> str:
            inner_group, _, option = (match["braced"] or match["bare"]).rpartition(".")
            inner = (_normal(inner_group or group), option)
            found = self._options.get(inner, self._options.get(("DEFAULT", option)))
            return match[0] if found is None or depth == 0 else self._filled(group, found, depth - 1)

        escaped = value.replace(r"\$", "$$")  # oslo.config takes both for a dollar sign
        return _REFERENCE.sub(fill, escaped.replace("$$", "\0")).replace("\0", "$")


def _parse(text: str) -> dict[tuple[str, str], str]:
    """oslo.config's own dialect: `=` or `:`, whole-line comments only, indented lines go on with the value above."""
    options: dict[tuple[str, str], str] = {}
    group, last = "DEFAULT", None
    for line in text.splitlines():
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        if line[0].isspace() and last is not None:
            options[last] += "\n" + line.strip()
        elif section := _SECTION.match(line):
            group, last = _normal(section["name"]), None
        elif found := re.match(r"(?P<key>[^=:]+?)\s*[=:]\s*(?P<value>.*)", line):
            last = (group, found["key"].strip().replace("-", "_"))
            options[last] = _unquoted(found["value"].strip())
    return options


def _normal(group: str) -> str:
    """[Database] is [database] to oslo.config; DEFAULT alone is what it is (cfg.py: _normalize_group_name)."""
    return group if group == "DEFAULT" else group.lower()


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if quoted else value


def files_of(
    command: Sequence[str],
    machine: Machine,
    default: Sequence[str],
    script: str,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, ...]:
    """The files a service reads: those its command line names, or oslo.config's own search below /etc/PROJECT.

    An application in a web server has no command line of its own: in most projects OS_PROJECT_CONFIG_FILES names them,
    or OS_PROJECT_CONFIG_DIR the folder of the main one.

    `default` holds the project's main file; beside it PROG.conf and the .conf.d folders of both are read if they exist.
    """
    named = _named(command, machine) or named_in(environment, default)
    if named:
        return tuple(named)
    found = []
    for path in default:
        own = f"{path.rpartition('/')[0]}/{script}.conf"
        for candidate in dict.fromkeys((path, own)):
            found += [candidate] if machine.exists(candidate) else []
        for candidate in dict.fromkeys((path, own)):
            found += _folder(machine, f"{candidate}.d")
    return tuple(found)


def first_named(command: Sequence[str], machine: Machine, default: Sequence[str]) -> tuple[str, ...]:
    """The file that a program's command line names first, or the files in the folder; `default` where it names none."""
    for word in command[1:]:
        if word.startswith("/") and machine.is_folder(word):
            return tuple(sorted(_folder(machine, word)))
        if word.startswith("/") and machine.exists(word):
            return (word,)
    return tuple(path for path in default if machine.exists(path))


def _named(command: Sequence[str], machine: Machine) -> list[str]:
    found: list[str] = []
    words = iter(command)
    for word in words:
        option, equals, value = word.partition("=")
        if option in ("--config-file", "--config-dir"):
            value = value if equals else next(words, "")
            found += [value] if option == "--config-file" else _folder(machine, value)
    return found


def named_in(environment: Mapping[str, str], default: Sequence[str]) -> list[str]:
    """The files that the environment names; the project's tools do not go by it, and must be told of them."""
    for path in default:
        project = path.split("/")[2].upper()
        own = environment.get(f"OS_{project}_CONFIG_DIR", "").strip()
        folder = own or f"/etc/{project.lower()}"
        files = environment.get(f"OS_{project}_CONFIG_FILES") or (path.rpartition("/")[2] if own else "")
        if found := [name.strip() for name in files.split(";") if name.strip()]:
            return [f"{folder}/{name}".replace(f"{folder}//", "/") for name in found]
    return []


def _folder(machine: Machine, path: str) -> list[str]:
    names = [name for name in machine.names(path) if name.endswith(".conf") and not name.startswith(".")]
    return [f"{path.rstrip('/')}/{name}" for name in names]
