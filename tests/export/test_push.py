"""`gra push` against a local stand-in of the hub: what goes, what stays, what is said where the hub refuses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gra.errors import StoreError
from gra.export.push import parcel

FILES = {
    "README.md": "---\nlicense: mit\n---\n# Data\n",
    "data/train.parquet": "PAR1",
    "rejected.parquet": "PAR1",
    "SIMULATED": "simulated\n",
    "journal.sqlite": "prompts",
    "run.json": '{"url": "http://10.0.0.1:8000/v1"}',
    "decontamination.json": "items of benchmarks",
    "manifest.json": '{"config": {"pool": {"base_url": "http://10.0.0.1:8000/v1"}}}',
}
SENT = {"README.md", "data/train.parquet", "rejected.parquet", "SIMULATED"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return filled(tmp_path / "mine", FILES)


def filled(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def hub(tmp_path: Path, free_port: int) -> Iterator[tuple[str, Path]]:
    folder = tmp_path / "hub"
    folder.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("hub_stand_in.py")), str(free_port), str(folder)]
    with subprocess.Popen(command) as server:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", free_port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{free_port}", folder
        server.kill()


def push(url: str, *words: str, token: str | None = "hf_good00000") -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
    environment |= {
        "HF_ENDPOINT": url,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN_PATH": os.devnull,
    }
    environment |= {"HF_TOKEN": token} if token else {}
    command = [sys.executable, "-c", "import sys; from gra.cli import main; sys.exit(main())", "push", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_dry_run_lists_what_would_go_and_sends_nothing(data: Path) -> None:
    done = push("http://127.0.0.1:9", str(data), "--dry-run", "me/mine", token=None)
    assert done.returncode == 0, done.stderr
    assert {line.strip() for line in done.stdout.splitlines() if line.startswith("  ")} == SENT
    assert "nothing was sent" in done.stdout


def test_data_go_without_journal_and_addresses(data: Path, hub: tuple[str, Path]) -> None:
    url, folder = hub
    done = push(url, str(data), "me/mine", "--private")
    assert done.returncode == 0, done.stderr
    sent = {path.relative_to(folder / "repo").as_posix() for path in (folder / "repo").rglob("*") if path.is_file()}
    assert sent == SENT
    assert (folder / "repo" / "README.md").read_text() == FILES["README.md"]
    created = json.loads((folder / "created.json").read_text())
    assert (created["type"], created.get("private") or created.get("visibility")) in {
        ("dataset", True),
        ("dataset", "private"),
    }


def test_of_a_model_folder_the_model_goes(tmp_path: Path) -> None:
    files = {
        "manifest.json": "{}",
        "model/config.json": "{}",
        "model/README.md": "# Model",
        "wandb/x": "",
        "log.csv": "",
    }
    found = parcel(filled(tmp_path / "model", files))
    assert (found.kind, found.files) == ("model", ["README.md", "config.json"])


@pytest.mark.parametrize("token", ["hf_wrong00000", None])
def test_what_the_hub_refuses_is_said_with_what_to_do(token: str | None, data: Path, hub: tuple[str, Path]) -> None:
    done = push(hub[0], str(data), "me/mine", token=token)
    assert done.returncode == 1
    assert "HTTP 401" in done.stderr
    assert "HF_TOKEN" in done.stderr
    assert "hf_wrong" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_hub_that_is_not_there(data: Path) -> None:
    done = push("http://127.0.0.1:9", str(data), "me/mine")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "cannot be reached" in done.stderr


def test_what_is_not_pushed(tmp_path: Path, data: Path) -> None:
    with pytest.raises(StoreError, match="not the folder of a finished stage"):
        parcel(tmp_path)
    (data / "README.md").write_text("key: hf_abcdefgh12345")
    with pytest.raises(StoreError, match="looks like a secret"):
        parcel(data)
