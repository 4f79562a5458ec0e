"""Standard output that outlives its reader: `gra run --info | head -1` ends without a traceback."""

from __future__ import annotations

import io
import os
import sys


class _Output(io.FileIO):
    """A file that goes on into nothing once the other end of its pipe is closed."""

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        try:
            return super().write(data)
        except BrokenPipeError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(data)


def outlive_reader() -> None:
    """Let sys.stdout, if it is the process's own, drop what nobody reads any more. Every command calls this first.

    Here rather than by catching BrokenPipeError: Hydra, rich and the interpreter's last flush each meet it in a place of their
    own. SIGPIPE is no way either: it would end a run at the first server that hangs up.
    """
    out = sys.stdout
    if out is not sys.__stdout__ or not isinstance(out, io.TextIOWrapper):
        return  # captured by whoever called
    out.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(out.fileno(), "w", closefd=False)),
        encoding=out.encoding,
        errors=out.errors,
        line_buffering=out.line_buffering,
        write_through=out.write_through,
    )
