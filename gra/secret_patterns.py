"""Recognises secrets by the name of a key, the form of a value, a URL or a word of a command: the one list."""

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
    """Whether a key of this name (the last part of a dotted key) holds a secret: api_key, hf_token, password ..."""
    return _NAME.fullmatch(key) is not None


def is_value(text: str) -> bool:
    """Whether the text contains a key or token of a known form: sk-..., hf_..., Bearer ..."""
    return _VALUE.search(text) is not None


def in_url(text: str) -> bool:
    """Whether the text is a URL with a password, or has a key as a parameter."""
    return _URL.search(text) is not None


def without_user(text: str) -> str:
    """The text without user names and passwords in URLs."""
    return _USER.sub(r"\1", text)


def is_option(word: str) -> bool:
    """Whether a word of a command line sets a secret: --api-key, --hf-token=..."""
    return _OPTION.fullmatch(word) is not None
