"""Serves one GGUF file with llama.cpp's OpenAI-compatible API, through the wheel `xllamacpp` (pip install 'gra[cpu]').

Command: python -m gra.models.launch.llama_cpp_server --model FILE.gguf --name NAME --port PORT (--help: all options)

Base models need an explicit chat template. Without one, llama.cpp uses ChatML. A base model has never seen ChatML's
tokens and never writes its end token. `--template plain` writes paragraphs "User: ..." and "Assistant: ...", which base
models know from plain text, and ends a reply before the next "User:" or "Assistant:". A template does not contain the
beginning-of-sequence token, because llama.cpp adds it if the file asks for it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gra.models.launch.gguf_header import metadata
from gra.pipes import outlive_reader

OWN = "own"
STOPS = {"plain": ["\nUser:", "\n\nUser:", "\nAssistant:"]}  # stop strings of the templates in chat_templates/
TEMPLATES = Path(__file__).parent / "chat_templates"
_ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",  # madvise; glibc manual, "Memory Allocation Tunables"
    "GOMP_SPINCOUNT": "3000",  # libgomp manual; about 10 microseconds
}
_TEMPLATE_KEY = "tokenizer.chat_template"


def main(arguments: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT. Return the exit code."""
    outlive_reader()
    _set_environment()
    given = _parser().parse_args(list(arguments))
    try:
        template, stops = chosen_template(given.model, given.template)
    except (OSError, ValueError) as error:
        print(f"llama_cpp_server: {error}", file=sys.stderr, flush=True)
        return 2
    try:
        import xllamacpp
    except ImportError as error:
        print(f"llama_cpp_server: {error}\n    -> pip install 'gra[cpu]'", file=sys.stderr, flush=True)
        return 2
    count = threads(given.threads, given.servers)
    params = parameters(xllamacpp.CommonParams(), given, template, stops, count)
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        print(f"llama_cpp_server: {given.model}: {error}", file=sys.stderr, flush=True)
        return 1
    print(f"{given.name} is served on {server.listening_address} with {count} thread(s)", flush=True)
    over.wait()
    os._exit(0)  # a regular shutdown of the engine would wait for the calls in flight


def threads(wanted: int, servers: int, cores: int | None = None) -> int:
    """Return the number of threads that a server uses. `wanted`: the number that the user set. If it is 0, this
    function chooses the number. `servers`: the number of servers that share this machine.

    The chosen number is up to twice the server's share of the cores, because often only the slowest model computes
    while the others wait for it. If all servers are busy at once, they are 20 % slower than with one thread per core
    (benchmarks/README.md).
    """
    if wanted > 0:
        return wanted
    if cores is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, -(-2 * cores // max(1, servers))))


def _set_environment() -> None:
    """Set environment variables and start this program again, because glibc and OpenMP read them only when a process
    starts.

    GLIBC_TUNABLES enables huge pages (only on Linux, and only for memory that asks for them). Decoding spends its time
    reading the weights, and with 4 KiB pages every page is a TLB miss. GOMP_SPINCOUNT makes waiting threads sleep soon.
    Otherwise they spin, and with more threads than cores each token takes many times as long. Variables that the user
    has set stay unchanged.
    """
    missing = {name: value for name, value in _ENVIRONMENT.items() if name not in os.environ}
    if missing and sys.platform == "linux" and __name__ == "__main__":
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **missing})


def chosen_template(model: Path, wanted: str) -> tuple[str, list[str]]:
    """Return the chat template as Jinja text, and its stop strings. `wanted`: the value of the option --template.

    If `wanted` is `own`, llama.cpp takes the template from the model's file, and the returned text is "". Raises
    ValueError if that file has no template, and OSError if a file cannot be read.
    """
    if wanted == OWN:
        if _TEMPLATE_KEY not in metadata(model, [_TEMPLATE_KEY]):
            raise ValueError(
                f"{model} has no chat template\n    -> --template plain, or a Jinja file (weights.chat_template)"
            )
        return "", []
    path = TEMPLATES / f"{wanted}.jinja"
    return (path if path.is_file() else Path(wanted)).read_text(encoding="utf-8").rstrip("\n"), STOPS.get(wanted, [])


def parameters(params: Any, given: argparse.Namespace, template: str, stops: list[str], count: int) -> Any:
    """Set llama.cpp's parameters from the command's options and return them."""
    params.model.path = str(given.model)
    params.model_alias = {given.name}
    params.port = given.port
    params.hostnames = [given.host]
    params.n_parallel = given.parallel
    params.n_ctx = given.context * given.parallel
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = count
    params.cpuparams.poll = params.cpuparams_batch.poll = 0  # sleep between batches: the other servers need the core
    params.n_threads_http = max(4, given.parallel + 2)
    params.cache_prompt = True  # reuse the common prefix of an earlier prompt
    params.cache_ram_mib = given.cache_mib
    params.ui = False
    if template:
        params.chat_template = template
    if stops:
        params.antiprompt = stops
    return params


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m gra.models.launch.llama_cpp_server", description=__doc__, formatter_class=form
    )
    parser.add_argument("--model", type=Path, required=True, help="the GGUF file")
    parser.add_argument("--name", required=True, help="the model's id in the API")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s; 0.0.0.0: calls from other nodes)",
    )
    parser.add_argument("--threads", type=int, default=0, help="0: 2 x cores / --servers, at most all cores")
    parser.add_argument("--servers", type=int, default=1, help="servers that share this machine")
    parser.add_argument("--parallel", type=int, default=8, help="calls computed in parallel; further calls are queued")
    parser.add_argument("--context", type=int, default=4096, help="tokens of prompt and reply per call")
    parser.add_argument(
        "--cache-mib", type=int, default=512, help="memory for earlier prompts, in addition to the slots' memory"
    )
    parser.add_argument("--template", default=OWN, help="own: the file's chat template; plain; or a Jinja file")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
