"""Reads what a report packs for its browser of samples."""

from __future__ import annotations

import base64
import gzip
import json
import re
from typing import Any


def unpacked(page: str, part: str = "rows") -> Any:
    """The samples (`rows`) or the prompts and replies (`calls`) in a page; [] where it has none."""
    found = re.search(rf'<script type="text/plain" id="browser-{part}">([A-Za-z0-9+/=]*)</script>', page)
    return json.loads(gzip.decompress(base64.b64decode(found[1]))) if found and found[1] else []
