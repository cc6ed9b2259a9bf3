"""Files of root's and of the invoking user's that tell devswap what to do: believed if theirs, and nobody else's."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from devswap.errors import UsageError


def read(path: Path, trusted: frozenset[int]) -> dict[str, Any] | None:
    """What the TOML file says; None where there is none. `trusted` are the uids whose files are believed.

    Raises UsageError for somebody else's, and for one that cannot be read.
    """
    try:
        with path.open("rb") as file:
            owner = os.fstat(file.fileno()).st_uid
            if owner not in trusted:
                raise UsageError(f"cannot use {path}: it belongs to uid {owner}", hint=f"chown it, or remove {path}")
            return tomllib.load(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # besides what is no TOML: endless numbers, tables without a bottom
        raise UsageError(f"cannot read {path}: {error}") from error
