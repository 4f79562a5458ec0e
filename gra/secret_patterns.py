"""Recognises secrets such as API keys and passwords: in the name of a config key, in a value, in a URL, and in a
command-line option. All checks for secrets use these patterns."""

from __future__ import annotations

import re

_NAME = re.compile(
    r"(.*_)?(api_?key|password|passwd|secret|secret_key|access_key|private_key)|((hf|api|auth|access|bearer)_?)?token"
    r"|authorization|bearer",
    re.IGNORECASE,
)
_VALUE = re.compile(r"(\b(sk|gsk|pk|xai)-[\w-]{8,}|\bhf_\w{8,}|\bBearer\s+\S+)")
_URL = re.compile(r"^[a-z][a-z0-9+.-]*://[^/\s@]*:[^/\s@]+@|[?&](api_?key|key|token)=", re.IGNORECASE)
_USER = re.compile(r"(\w+://)[^/@\s]*@")
_OPTION = re.compile(r"--?(api-?key|.*token|password|secret)(=.*)?", re.IGNORECASE)


def is_name(key: str) -> bool:
    """Return whether a config key with the name `key` holds a secret. Examples are api_key, hf_token and password.
    `key`: the last part of a dotted key."""
    return _NAME.fullmatch(key) is not None


def is_value(text: str) -> bool:
    """Return whether the text contains a key or token of a known form: sk-..., hf_..., Bearer ..."""
    return _VALUE.search(text) is not None


def in_url(text: str) -> bool:
    """Return whether the text is a URL with a password, or one with a key as a query parameter."""
    return _URL.search(text) is not None


def without_user(text: str) -> str:
    """Return the text without user names and passwords in URLs."""
    return _USER.sub(r"\1", text)


def is_option(word: str) -> bool:
    """Return whether the command-line argument `word` is an option that sets a secret: --api-key, --hf-token=..."""
    return _OPTION.fullmatch(word) is not None
