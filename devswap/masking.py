"""Keeps secrets out of what people read: screen, log and journal."""

from __future__ import annotations

import re

# scheme://user:SECRET@host, up to the last @: passwords may hold one (RFC 3986 forbids it, people do it).
_URL_PASSWORD = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s]+(?=@)", re.IGNORECASE)
_ASSIGNED = re.compile(
    r"""(?P<head>["']?\b[\w-]*(?:password|passwd|secret|token|auth_encryption_key|mysql_pwd)\b["']?\s*[=:]\s*)"""
    r"""(?P<quote>["']?)[^\s"',&]+(?P=quote)""",
    re.IGNORECASE,
)
MASK = "***"


def mask(text: str) -> str:
    """`text` with the passwords of URLs and the values of password-like settings replaced by ***."""
    text = _URL_PASSWORD.sub(rf"\g<head>{MASK}", text)
    return _ASSIGNED.sub(rf"\g<head>{MASK}", text)
