"""Whether a hub id can be had: in the cache, or at the hub with the rights that this user has. Asked before a run."""

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
    """What keeps the hub's `name` from being used here, under the config key `key`; None: nothing does, or it is in the cache."""
    found = _fault(name, kind, revision, _offline(kind))
    return None if found is None else Problem(key, *found)


def is_hub_id(name: str) -> bool:
    """Whether `name` can be an id at the hub, and is no folder or file here."""
    return _ID.fullmatch(name) is not None and not expanded(name).exists()


def cached(name: str, kind: Kind, revision: str | None = None) -> bool:
    """Whether the hub's cache on this machine has `name`, at `revision` where one is given."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}"
    wanted = [revision] if revision else [path.name for part in ("refs", "snapshots") for path in _inside(folder / part)]
    for one in wanted:
        ref = folder / "refs" / one
        snapshot = folder / "snapshots" / (ref.read_text(encoding="utf-8").strip() if ref.is_file() else one)
        files = {path.name for path in snapshot.rglob("*")} if snapshot.is_dir() else set()
        if "config.json" in files or (kind == "dataset" and files):
            return True
    return kind == "dataset" and _prepared(name)


def _prepared(name: str) -> bool:
    """Whether `datasets` has prepared this set before: it then needs neither the hub nor its cache."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    folder = Path(os.environ.get("HF_DATASETS_CACHE") or home / "datasets").expanduser()
    wanted = re.sub(r"[^a-z0-9]", "", name.lower())
    return any(re.sub(r"[^a-z0-9]", "", path.name.lower()) == wanted for path in _inside(folder) if path.is_dir())


@cache  # once a command: the arms of an experiment name the same
def _fault(name: str, kind: Kind, revision: str | None, offline: str | None) -> tuple[str, str] | None:
    what = f"{'data set' if kind == 'dataset' else 'model'} {name}" + (f" at revision {revision}" if revision else "")
    flag = " --repo-type dataset" if kind == "dataset" else ""
    fetch = f"fetch it where there is a network (hf download {name}{flag}) into the same cache, or give local files"
    if cached(name, kind, revision):
        return None
    if offline:
        return f"the {what} is not in the cache, and {offline} forbids asking the hub", f"unset {offline}; or {fetch}"
    return _asked(name, kind, revision, what, fetch)


def _asked(name: str, kind: Kind, revision: str | None, what: str, fetch: str) -> tuple[str, str] | None:
    from huggingface_hub import HfApi, constants, errors

    api = HfApi()
    try:
        info = api.repo_info(name, repo_type=kind, revision=revision, timeout=TIMEOUT_S)
        if getattr(info, "gated", False):
            api.auth_check(name, repo_type=kind)
    except errors.GatedRepoError:
        return f"the {what} wants its terms accepted", f"accept them at {constants.ENDPOINT}/{name}, then set HF_TOKEN"
    except errors.RevisionNotFoundError:
        return f"the hub has no {what}", "correct the revision, or leave it out"
    except errors.RepositoryNotFoundError:
        return f"the hub has no {what}, or it is private", "correct the id (owner/name), or set HF_TOKEN to one that may read it"
    except errors.HFValidationError:
        return f"{name!r} is no id of the hub, and no such folder is here", "give owner/name, or a folder that exists"
    except errors.HfHubHTTPError as error:
        return f"the hub does not give the {what}: {_line(error)}", fetch
    except (errors.HTTPError, OSError) as error:  # the errors of whatever HTTP client this version of the library has
        return f"the hub cannot be reached ({_line(error)}), and the {what} is not in the cache", fetch
    return None


def _offline(kind: Kind) -> str | None:
    """The variable that forbids asking the hub, if one does."""
    names = ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE" if kind == "dataset" else "TRANSFORMERS_OFFLINE")
    return next((name for name in names if os.environ.get(name, "").lower() in _SET), None)


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
