"""llama.cpp's server as pool=small starts it; with real weights where the cache has them."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from real_weights import cached, need_llama_cpp

from gra.models.base import Request
from gra.models.launch.gguf_header import metadata
from gra.models.launch.llama_cpp_server import STOPS, chosen_template, main, threads
from gra.models.managed import StartedServers
from gra.models.openai import backend as openai_server
from gra.paths import conf_dir

KINDS = {str: 8, bool: 7, int: 4, float: 6}


def gguf(values: dict[str, Any]) -> bytes:
    """A GGUF file without tensors, by the format's description."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def packed(value: Any) -> bytes:
        if isinstance(value, list):
            inner = b"".join(text(v) if isinstance(v, str) else struct.pack("<I", v) for v in value)
            return struct.pack("<IIQ", 9, 8 if value and isinstance(value[0], str) else 4, len(value)) + inner
        body = (
            text(value)
            if isinstance(value, str)
            else struct.pack({bool: "<?", int: "<I", float: "<f"}[type(value)], value)
        )
        return struct.pack("<I", KINDS[type(value)]) + body

    return (
        b"GGUF" + struct.pack("<IQQ", 3, 0, len(values)) + b"".join(text(key) + packed(v) for key, v in values.items())
    )


VALUES = st.one_of(
    st.text(max_size=20),
    st.booleans(),
    st.integers(0, 2**32 - 1),
    st.lists(st.text(max_size=9), max_size=5),
    st.lists(st.integers(0, 9), max_size=5),
)


@given(st.dictionaries(st.text(min_size=1, max_size=12), VALUES, max_size=6), st.data())
def test_metadata_is_read_whatever_stands_between_and_a_cut_file_is_refused(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("gguf") / "a.gguf"
    whole = gguf(values)
    path.write_bytes(whole)
    assert metadata(path, values) == {key: value for key, value in values.items() if not isinstance(value, list)}
    path.write_bytes(whole[: data.draw(st.integers(0, 23))])
    with pytest.raises(ValueError):
        metadata(path, values)


def test_a_file_without_a_chat_template_wants_one_to_be_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base.gguf"
    base.write_bytes(gguf({"general.architecture": "x"}))
    assert main(["--model", str(base), "--name", "a", "--port", "1"]) == 2
    assert "--template plain" in capsys.readouterr().err
    assert chosen_template(base, "plain")[1] == STOPS["plain"]
    chat = tmp_path / "chat.gguf"
    chat.write_bytes(gguf({"tokenizer.chat_template": "{{ messages }}"}))
    assert chosen_template(chat, "own") == ("", [])
    own = tmp_path / "mine.jinja"
    own.write_text("{{ 1 }}\n", encoding="utf-8")
    assert chosen_template(base, str(own)) == ("{{ 1 }}", [])


@given(st.integers(1, 64), st.integers(1, 64))
def test_servers_share_the_cores(cores: int, servers: int) -> None:
    share = threads(0, servers, cores)
    assert 1 <= share <= cores
    assert share == 1 or (share - 1) * servers < 2 * cores
    assert threads(5, servers, cores) == 5


@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b", "gemma3-270m"])
def test_a_real_model_answers_turns_ends_its_reply_and_tells_probabilities(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_llama_cpp()
    cached(name, monkeypatch)
    pool = yaml.safe_load((conf_dir() / "pool" / "small.yaml").read_text(encoding="utf-8"))
    pool["models"] = [model for model in pool["models"] if model["name"] == name]
    shown = [
        ("List, python, sort", "Write a Python function that sorts a list."),
        ("Cat, poem", "Write a short poem about a cat."),
    ]
    turns = [
        {"role": role, "content": text}
        for pair in shown
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    messages = (*turns, {"role": "user", "content": "Email, customer"})

    async def run() -> None:
        backend = openai_server.connect(pool, {"log_folder": str(tmp_path)})
        assert isinstance(backend, StartedServers)
        async with backend:
            reply = await backend.chat(Request(name, messages, 0.0, 1.0, 120, 1))
            again = await backend.chat(Request(name, messages, 0.0, 1.0, 120, 1))
            one = await backend.chat(Request(name, messages, 0.0, 1.0, 1, 1, choices=("Write", "Create")))
        assert reply.finish == "stop", reply
        assert 0 < len(reply.text.strip()) < 400
        assert not any(mark in reply.text for mark in ("User:", "<|im_", "<eos>", "<end_of_turn>"))
        assert again.text == reply.text
        assert one.choices is not None
        assert 0 < sum(one.choices.values()) <= 1, one.choices

    asyncio.run(run())
