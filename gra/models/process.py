"""A child process under guard.py, writing to a log file: what servers and the vLLM engine run in."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gra.models import guard

_TAIL_LINES, _TAIL_BYTES = 15, 4000


class Guarded:
    """`words` is the command, `environment` is added to this process's own, output is appended to `log_file`.

    `secrets` are cut out of all that is shown of the command and the log.
    """

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], log_file: Path, *, stop_s: float, secrets: Sequence[str] = ()
    ):
        self._words, self._environment, self.log_file = list(words), dict(environment), log_file
        self._stop_s, self._secrets = stop_s, [secret for secret in secrets if secret]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the command. Raises OSError where the log cannot be written; a command that is not there ends with code 127."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as out:
            out.write(f"---- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {self.command}\n".encode())
            out.flush()
            # A session of its own, so that Ctrl-C and a kill of our process group leave it to the guard to clean up.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", guard.__file__, str(self._stop_s), *self._words,
                stdin=asyncio.subprocess.PIPE, stdout=out, stderr=out, start_new_session=True,
                env={**os.environ, **self._environment},
            )  # fmt: skip

    async def wait(self) -> int:
        """Wait for its end; the exit code (128 + n: ended by signal n)."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """End it and all that it started; returns when nothing of it is left."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()  # the guard's sign; it goes on by itself even if this is as far as we get
            await self._process.wait()

    @property
    def command(self) -> str:
        """The command as one would type it."""
        return self._redacted(shlex.join(self._words))

    def told(self, what: str) -> str:
        """`what` happened, with the command, where its log is, and how that ends: for error messages."""
        tail = "\n".join(f"    | {line}" for line in self._log_tail()) or "    | (nothing)"
        return f"{what}\n    command: {self.command}\n    log: {self.log_file}, which ends:\n{tail}"

    def _log_tail(self) -> list[str]:
        try:
            with self.log_file.open("rb") as handle:
                handle.seek(max(0, handle.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = handle.read().decode("utf-8", "replace")
        except OSError:
            return []
        printable = ("".join(c if c.isprintable() else " " for c in line)[:300].rstrip() for line in text.splitlines())
        return [self._redacted(line) for line in printable if line][-_TAIL_LINES:]

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
