"""What the containers are called: as OSA's dynamic inventory calls them, each with its own eight hex digits."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from itertools import count

from devswap.sandbox.eras import Era, Member

_PREFIX_OF = re.compile(r"^(aio\d+)[_-]")


def container_name(era: Era, prefix: str, member: Member, suffix: str) -> str:
    """`aio1-heat-api-container-36e270c9`, or with underscores up to the suffix before OSA 29."""
    body = f"{prefix}_{member.skeleton}".replace("_", era.separator)
    return f"{body}-{suffix}"


def new_suffix() -> str:
    return secrets.token_hex(4)


def free_prefix(containers: Collection[str], wanted: str = "aio1", *, reserved: Collection[str] = ()) -> str:
    """`wanted`, or the next `aioN` that no container on this host has and that is not `reserved`."""
    taken = {match[1] for name in containers if (match := _PREFIX_OF.match(name))} | set(reserved)
    if wanted not in taken:
        return wanted
    return next(prefix for number in count(1) if (prefix := f"aio{number}") not in taken)
