"""Runs a child process (a server, the vLLM engine) under guard.py and writes its output to a log file."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gra.models.launch import guard

_TAIL_LINES, _TAIL_BYTES = 15, 4000


class Guarded:
    """A child process that runs a command under guard.py, a script that ends the command when the Python process that
    created this object ends.

    `words`: the command as a list of arguments. `environment`: variables that are added to those of this process.
    `log_file`: the file to which the command's output goes. `stop_s`: seconds between SIGTERM and SIGKILL. `secrets`:
    texts that are replaced by *** where the command or the log is shown.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        log_file: Path,
        *,
        stop_s: float,
        secrets: Sequence[str] = (),
    ):
        self._words, self._environment, self.log_file = list(words), dict(environment), log_file
        self._stop_s, self._secrets = stop_s, [secret for secret in secrets if secret]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the command. Raises OSError if the log cannot be written. If the command does not exist, the process
        exits with code 127."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as out:
            out.write(f"---- {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {self.command}\n".encode())
            out.flush()
            # In a new session, Ctrl-C and a kill of this process's group do not reach the guard, which must clean up.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                guard.__file__,
                str(self._stop_s),
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, **self._environment},
            )

    async def wait(self) -> int:
        """Wait until the process ends. Return its exit code (128 + n: ended by signal n)."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """End the process and its descendants. Returns when none is left."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()  # tells the guard to end the command, even if this process dies now
            await self._process.wait()

    @property
    def command(self) -> str:
        """The command as it is typed in a shell, without secrets."""
        return self._redacted(shlex.join(self._words))

    def report(self, what: str) -> str:
        """Return the text of an error message. It consists of `what`, which says what happened, then the command, the
        log's path and the log's last lines."""
        tail = "\n".join(f"    | {line}" for line in self._log_tail()) or "    | (nothing)"
        return f"{what}\n    command: {self.command}\n    log: {self.log_file}, last lines:\n{tail}"

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
