"""Keeps secrets out of what people read: screen, log and journal."""

from __future__ import annotations

import re

_WORD = re.compile(r"\S+")
_URL_USER = re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@]*:(?=.)", re.IGNORECASE)
# Keys are secrets (API_KEY, auth_encryption_key), but not those that are public, nor a database's.
# Lengths are bounded, so that a long line without a blank takes no long time.
_NAME = (
    r"\b[\w-]{0,60}(?:password|passwd|secret|token|(?:\b|_|-)pass|pwd|api_?key"
    r"|(?<!public)(?<!primary)(?<!foreign)[_-]key)\b"
)
_PATH = r"(?![\"']?/(?:etc|var|usr|opt|home|root|run|tmp|openstack)/)"
# A word that is quoted as a whole ('--setenv=ADMIN_PASS=a b'), as shlex.join and shells write it.
_QUOTED_WHOLE = re.compile(
    rf"""(?P<head>(?P<quote>["'])(?:[^\s"'=]{{0,60}}=)?-*{_NAME}\s*=\s*){_PATH}(?:(?!(?P=quote)).)+""", re.IGNORECASE
)
_ASSIGNED = re.compile(
    rf"""(?P<head>["']?{_NAME}["']?\s*[=:]\s*){_PATH}"""
    r"""(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'][^\s]*)""",
    re.IGNORECASE,
)
MASK = "***"


def mask(text: str) -> str:
    """`text` with the passwords of URLs and the values of password-like settings replaced by ***."""
    text = _WORD.sub(_without_url_password, text)
    text = _QUOTED_WHOLE.sub(rf"\g<head>{MASK}", text)
    return _ASSIGNED.sub(rf"\g<head>{MASK}", text)


def _without_url_password(word: re.Match[str]) -> str:
    """scheme://user:SECRET@host, up to the last @: passwords may hold one (RFC 3986 forbids it, people do it)."""
    text = word[0]
    end = text.rfind("@")
    user = _URL_USER.search(text, 0, end) if end > 0 else None
    return f"{text[: user.end()]}{MASK}{text[end:]}" if user else text
