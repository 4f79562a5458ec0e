"""Checks, before a run, whether a hub id is in the local cache or can be downloaded with the user's token."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Literal

from gra.errors import Problem
from gra.paths import expanded

Kind = Literal["model", "dataset"]
TIMEOUT_S = 10.0
_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SET = ("1", "on", "yes", "true")


def hub_problem(key: str, name: str, kind: Kind = "model", revision: str | None = None) -> Problem | None:
    """Return the reason why a model or data set of the hub cannot be used on this machine. Return None if it can be
    used.

    `name`: the hub id. `key`: the config key that contains the hub id. The returned Problem names this key.
    """
    found = _fault(name, kind, revision, _offline(kind))
    return None if found is None else Problem(key, *found)


def is_hub_id(name: str) -> bool:
    """Return whether `name` has the form of a hub id and is not an existing local path."""
    return _ID.fullmatch(name) is not None and not expanded(name).exists()


def cached(name: str, kind: Kind, revision: str | None = None) -> bool:
    """Return whether the local hub cache has the model or data set `name`. If `revision` is given, the cache must have
    this revision. A data set that the library `datasets` has prepared in its own cache counts as cached."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}"
    wanted = (
        [revision] if revision else [path.name for part in ("refs", "snapshots") for path in _inside(folder / part)]
    )
    for one in wanted:
        ref = folder / "refs" / one
        snapshot = folder / "snapshots" / (ref.read_text(encoding="utf-8").strip() if ref.is_file() else one)
        files = {path.name for path in snapshot.rglob("*")} if snapshot.is_dir() else set()
        if "config.json" in files or (kind == "dataset" and files):
            return True
    return kind == "dataset" and _prepared(name)


def commit_of(name: str, revision: str | None = None) -> str | None:
    """Return the hash of the commit that the local cache has for the hub model `name` at `revision`, which is a branch,
    a tag or a commit. If `revision` is None, the branch main is used.

    Return None if `name` is a local path, or if the cache lacks the model or the revision. GRA needs this function
    because transformers no longer records the commit in a model's config.
    """
    from huggingface_hub import constants

    if not is_hub_id(name):
        return None
    folder = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    ref = folder / "refs" / (revision or "main")
    commit = ref.read_text(encoding="utf-8").strip() if ref.is_file() else revision
    return commit if commit and (folder / "snapshots" / commit).is_dir() else None


def _prepared(name: str) -> bool:
    """Return whether `datasets` has already prepared this data set. It then needs neither the hub nor the hub's
    cache."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    folder = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets").expanduser()
    wanted = re.sub(r"[^a-z0-9]", "", name.lower())
    return any(re.sub(r"[^a-z0-9]", "", path.name.lower()) == wanted for path in _inside(folder) if path.is_dir())


@cache  # the arms of an experiment share ids: each is looked up once per process
def _fault(name: str, kind: Kind, revision: str | None, offline: str | None) -> tuple[str, str] | None:
    what = f"{'data set' if kind == 'dataset' else 'model'} {name}" + (f" at revision {revision}" if revision else "")
    flag = " --repo-type dataset" if kind == "dataset" else ""
    fetch = f"on a machine that has a network and shares this cache folder, run: hf download {name}{flag}; or give local files"
    if cached(name, kind, revision):
        return None
    if offline:
        return f"the {what} is not in the cache, and {offline} forbids downloads", f"unset {offline}; or {fetch}"
    return _hub_fault(name, kind, revision, what, fetch)


def _hub_fault(name: str, kind: Kind, revision: str | None, what: str, fetch: str) -> tuple[str, str] | None:
    from huggingface_hub import HfApi, constants, errors

    api = HfApi()
    try:
        info = api.repo_info(name, repo_type=kind, revision=revision, timeout=TIMEOUT_S)
        if getattr(info, "gated", False):
            api.auth_check(name, repo_type=kind)
    except errors.GatedRepoError:
        return f"the {what} is gated", f"accept its terms at {constants.ENDPOINT}/{name}, then set HF_TOKEN"
    except errors.RevisionNotFoundError:
        return f"the hub has no {what}", "correct the revision, or leave it out"
    except errors.RepositoryNotFoundError:
        return (
            f"the hub has no {what}, or it is private",
            "correct the id (owner/name), or set HF_TOKEN to one with read access",
        )
    except errors.HFValidationError:
        return f"{name!r} is neither a hub id nor an existing folder", "give owner/name, or a folder that exists"
    except errors.HfHubHTTPError as error:
        return f"the hub refused the {what}: {one_line(error)}", fetch
    except (errors.HTTPError, OSError) as error:  # HTTPError: from the HTTP client of the installed huggingface_hub
        return f"the hub cannot be reached ({one_line(error)}), and the {what} is not in the cache", fetch
    return None


def _offline(kind: Kind) -> str | None:
    """Return the name of the environment variable that forbids hub access; None if none is set."""
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE" if kind == "dataset" else "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").lower() in _SET), None)


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def one_line(error: Exception) -> str:
    """Return the first line of an error's text, cut to 200 characters. If the text is empty, return the name of the
    error's type."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
