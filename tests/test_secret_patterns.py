"""What counts as a secret, configs, pools, command lines and data cards read the same list."""

from __future__ import annotations

import pytest

from gra import secret_patterns


@pytest.mark.parametrize(
    "name", ["api_key", "apikey", "OPENAI_API_KEY", "hf_token", "token", "db_password", "secret", "Authorization"]
)
def test_names_of_secrets(name: str) -> None:
    assert secret_patterns.is_name(name)


@pytest.mark.parametrize("name", ["api_key_env", "max_tokens", "tokens", "key", "keywords", "special_token", "monkey"])
def test_other_names(name: str) -> None:
    assert not secret_patterns.is_name(name)


def test_values_urls_and_options() -> None:
    assert secret_patterns.is_value("Bearer abc")
    assert secret_patterns.is_value("sk-abcdefgh1234")
    assert not secret_patterns.is_value("disk-abcdefgh")
    assert not secret_patterns.is_value("OPENAI_API_KEY")
    assert secret_patterns.in_url("https://u:p@host/v1")
    assert secret_patterns.in_url("http://h/v1?api_key=x")
    assert not secret_patterns.in_url("http://h:8000/v1")
    assert secret_patterns.without_user("see https://u:p@host/x") == "see https://host/x"
    assert secret_patterns.is_option("--api-key=x")
    assert secret_patterns.is_option("--hf-token")
    assert not secret_patterns.is_option("--max-tokens")
