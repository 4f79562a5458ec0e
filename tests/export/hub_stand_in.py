"""A local stand-in of the hub's API for uploads: python hub_stand_in.py PORT FOLDER. It writes what was committed below FOLDER.

Endpoints as huggingface_hub 2.4 calls them: whoami, create, preupload, commit. Only the token `hf_good00000` may write.
"""

from __future__ import annotations

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Hub(BaseHTTPRequestHandler):
    folder: Path

    def do_GET(self) -> None:
        if self.path.startswith("/api/whoami"):
            self.answer({"name": "me", "type": "user", "orgs": []})
        else:
            self.answer({"error": "Repository not found"}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != "Bearer hf_good00000":
            self.answer({"error": "Invalid credentials"}, 401)
        elif self.path.endswith("/repos/create"):
            told = json.loads(body)
            (self.folder / "created.json").write_text(json.dumps(told))
            kind = "datasets/" if told.get("type") == "dataset" else ""
            name = told["name"] if "/" in told["name"] else f"me/{told['name']}"
            self.answer({"url": f"http://{self.headers['Host']}/{kind}{name}", "name": name})
        elif "/preupload/" in self.path:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False}
                for one in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif "/commit/" in self.path:
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    path = self.folder / "repo" / entry["value"]["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(base64.b64decode(entry["value"]["content"]))
            self.answer(
                {"commitUrl": f"http://{self.headers['Host']}/me/mine/commit/{'a' * 40}", "commitOid": "a" * 40}
            )
        else:
            self.answer({})

    def answer(self, value: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    Hub.folder = Path(sys.argv[2])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Hub).serve_forever()
