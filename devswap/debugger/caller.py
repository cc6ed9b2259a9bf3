"""Who waits elsewhere while somebody is at a prompt: the caller of an RPC method gives up after a while."""

import sys
from typing import Any

_SERVER = "oslo_messaging.rpc.server"
_DEFAULT_SECONDS = 60
patience = 0
"""So many seconds the callers were made to wait; 0: they were not."""


def waits(frame: Any) -> str:
    """What to say where `frame` runs for a caller that expects an answer; empty where nobody waits."""
    while frame is not None:
        if frame.f_globals.get("__name__") == _SERVER and frame.f_code.co_name == "_process_incoming":
            if not _expects_answer(frame):
                return ""
            return "the caller of this RPC method waits %s s for its answer (rpc_response_timeout)" % _seconds()
        frame = frame.f_back
    return ""


def _expects_answer(frame: Any) -> bool:
    """A cast has no message id; where that cannot be seen, it is taken for a call."""
    incoming = frame.f_locals.get("incoming")
    try:
        return getattr(incoming[0], "msg_id", True) is not None
    except (TypeError, IndexError, KeyError):
        return True


def _seconds() -> Any:
    """As this process is configured: the callers, which are of the same project mostly, read the same file."""
    if patience:
        return patience
    config = sys.modules.get("oslo_config.cfg")
    return getattr(getattr(config, "CONF", None), "rpc_response_timeout", _DEFAULT_SECONDS)
