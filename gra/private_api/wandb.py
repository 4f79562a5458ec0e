"""Private names of wandb. Written for wandb 0.31.0.

Three reasons. A fault of W&B must never end a run of GRA, but W&B's service raises exceptions without a common base
class. The public `Run.use_artifact` fails offline, and waits forever for a server that is gone; the private
`Run._log_artifact` works offline and does not wait. The public API can add a file to an artifact's manifest only if it
also copies the file.
"""

from __future__ import annotations

from typing import Any

from gra.private_api import found, moved

READ_FROM = "wandb 0.31.0"
_DEAD = (
    "wandb.sdk.lib.service.service_token.WandbServiceConnectionError",
    "wandb.sdk.mailbox.mailbox.MailboxClosedError",
    "wandb.sdk.mailbox.mailbox_handle.HandleAbandonedError",
)
_FAULTS = (
    "wandb.sdk.lib.service.service_connection.WandbApiFailedError",
    "wandb.sdk.mailbox.mailbox_handle.ServerResponseError",
)
_ENTRY = "wandb.sdk.artifacts.artifact_manifest_entry.ArtifactManifestEntry"
_LOG_ARTIFACT = "wandb.sdk.wandb_run.Run._log_artifact"
NAMES = (*_DEAD, *_FAULTS, _ENTRY, _LOG_ARTIFACT)


def dead() -> tuple[type[Exception], ...]:
    """Return the classes of the exceptions that W&B raises when its service process (wandb-core) is gone."""
    return (*(found(name, READ_FROM) for name in _DEAD), ConnectionError)


def faults() -> tuple[type[Exception], ...]:
    """Return the classes of all exceptions that W&B may raise: W&B's own classes, those of its service, and Python's
    exceptions for faults of the network and the file system."""
    import wandb

    own = (found(name, READ_FROM) for name in _FAULTS)
    return (*dead(), wandb.errors.Error, *own, OSError, RuntimeError, ValueError, AssertionError)


def log_artifact(run: Any, artifact: Any, use: bool = False) -> None:
    """Log `artifact` as an output of `run`, or as an input if `use` is true."""
    options = {"use_after_commit": True} if use else {}
    try:
        log = run._log_artifact
    except AttributeError:
        raise moved(_LOG_ARTIFACT, READ_FROM) from None
    log(artifact, is_user_created=True, **options)


def manifest_entry(**fields: Any) -> Any:
    """Return a new entry for an artifact's manifest. `fields`: `path`, `digest`, `size`, and `ref` or `local_path`."""
    return found(_ENTRY, READ_FROM)(**fields)
