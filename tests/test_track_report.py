"""`gra track report` against a stand-in of W&B's server: which runs and keys the report shows, and what it says without a key."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from gra import cli, track_report
from gra.paths import conf_dir

pytest.importorskip("wandb_workspaces", reason="W&B's library for reports is not installed: pip install 'gra[reports]'")
ROOT = Path(__file__).parents[1]
PROJECT = {"id": "p1", "internalId": "p2", "name": "gra", "entityName": "team", "createdAt": "2026-01-01T00:00:00"}
VIEWER = {"id": "u", "flags": "{}", "entity": "team", "username": "ann", "email": "", "admin": False}


class Server(ThreadingHTTPServer):
    """It answers the questions that a report is made with, and keeps the report."""

    saved: list[dict[str, Any]]
    groups: dict[str, int]  # how many runs each has


class Answers(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = json.loads(body) if self.path.endswith("graphql") else {"query": ""}
        self._send({"data": self._data(asked["query"], asked.get("variables") or {})})

    def _data(self, query: str, values: dict[str, Any]) -> dict[str, Any]:
        if "upsertView" in query:
            self.server.saved.append(values)
            keys = {"id": "Vmlldzox", "project": PROJECT, "user": {"name": "ann", "username": "ann", "userInfo": {}}}
            days = {"updatedAt": "2026-01-01T00:00:00", "createdAt": "2026-01-01T00:00:00", "viewCount": 0}
            given = {key: values[key] for key in ("name", "displayName", "description", "spec", "type")}
            view = {**given, **keys, **days, "previewUrl": None, "coverUrl": None}
            return {"upsertView": {"view": view, "inserted": True}}
        if "runCount(filters: $filters)" in query:
            assert (values["entity"], values["project"]) == ("team", "gra")
            count = self.server.groups.get(json.loads(values["filters"])["group"], 0)
            runs = {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}
            return {"project": {"internalId": "p2", "runCount": count, "readOnly": False, "runs": runs}}
        if "ProjectInternalId" in query:
            return {"project": PROJECT}
        if "GetProjects" in query:
            node = {**PROJECT, "isBenchmark": False, "user": None}
            page = {"endCursor": "x", "hasNextPage": False}
            return {"models": {"edges": [{"node": node, "cursor": "x"}], "pageInfo": page}}
        return {"viewer": {**VIEWER, "apiKeys": {"edges": []}, "teams": {"edges": []}}}

    def do_GET(self) -> None:
        self._send({})

    def _send(self, value: dict[str, Any]) -> None:
        text = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answers) as made:
        made.saved = []
        made.groups = {"bob's experiment": 3}
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{made.server_port}")
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        yield made
        made.shutdown()
        thread.join()


def gra(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gra", "track", "report", *words])
    return cli.main()


def test_a_report_shows_the_runs_of_the_experiment_by_stage(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group = "bob's experiment"
    assert gra(monkeypatch, group, "--entity", "team", "--tasks", "gsm8k", "--title", "First") == 0
    assert f"http://127.0.0.1:{server.server_port}/team/gra/reports/First" in capsys.readouterr().out
    (saved,) = server.saved
    assert (saved["displayName"], saved["entityName"], saved["projectName"]) == ("First", "team", "gra")
    grids = [block["metadata"] for block in json.loads(saved["spec"])["blocks"] if block["type"] == "panel-grid"]
    filters = [{one["key"]["name"]: one["value"] for one in grid["runSets"][0]["filters"]["filters"]} for grid in grids]
    stages = ("comparison", "eval", "train", "synthesis")
    assert filters == [{"group": group, "jobType": stage} for stage in stages]
    shown = json.dumps(grids)
    for key in (
        "eval/mean",
        "eval/gsm8k",
        "train/loss",
        "validation/loss",
        "synthesis/krippendorff_alpha",
        "comparison",
    ):
        assert key in shown, key


def test_a_group_without_runs_gets_no_report(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gra(monkeypatch, "quikstart", "--entity", "team") == 1
    error = capsys.readouterr().err
    assert "no runs of group quikstart in team/gra" in error
    assert "gra track sync DIR, or check the name" in error
    assert server.saved == []


def test_a_dry_run_sends_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gra(monkeypatch, "quickstart", "--dry-run", "--tasks", "bbh") == 0
    out = capsys.readouterr().out
    assert "eval/bbh" in out
    assert "nothing was sent" in out
    assert server.saved == []


def test_without_a_key_it_says_what_to_do(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert gra(monkeypatch, "quickstart", "--entity", "team") == 1
    error = capsys.readouterr().err
    assert "W&B made no report" in error
    assert "WANDB_API_KEY" in error
    assert server.saved == []


def test_printed_examples_name_tasks_of_the_experiments_suite() -> None:
    text = f"{track_report.__doc__}\n{(ROOT / 'docs' / 'tracking.md').read_text(encoding='utf-8')}"
    found = re.findall(r"^ +gra track report (\S+)(?: --\w+ [\w-]+)* --tasks ([\w ]+?)(?: +#.*)?$", text, re.MULTILINE)
    assert [name for name, _ in found] == ["paper/main_table", "quickstart"]
    for name, tasks in found:
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            suite = compose("chain", overrides=[f"experiment={name}"]).suite
        assert set(tasks.split()) <= set(suite.tasks)
