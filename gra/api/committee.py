"""Functions that use the committee. `synthesize` makes new data; `refine` and `review` process existing data; `probe`
tests the models before that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gra.api.arguments import of_app
from gra.api.given_backend import given
from gra.api.records import Records, file_of
from gra.api.results import Data, Probe
from gra.api.running import run_stage
from gra.errors import ConfigError, Problem

Models = Sequence[str | Mapping[str, Any]]
Config = Mapping[str, Any]


@of_app("synthesis_app")
def synthesize(
    seeds: Records,
    models: Models | None = None,
    *,
    output: str | Path,
    base_url: str | list[str] | dict[str, Any] | None = None,
    pool: str | None = None,
    backend: Any = None,
    rounds: int = 1,
    samples: int | None = None,
    seed: int = 0,
    config: Config | None = None,
) -> Data:
    """Let a committee of models write instruction data from seeds (paper, section 3). The command is `gra synthesize`.

    Args:
        seeds: the samples that the committee starts from. They can be a file or folder (JSON lines, JSON, CSV, parquet,
            ...), "hf:NAME" for a data set of the Hugging Face hub, a `datasets.Dataset`, records such as
            {"instruction": ..., "response": ...}, or a result such as `gra.load(DIR)`. "gra:seeds/starter.jsonl" is
            the file of seeds that comes with GRA. The usual names of columns are recognised. For other names, give
            `config={"seeds.columns": {...}}`.
        models: the models of the committee. Each is a name under which a server offers the model, or a mapping with the
            keys of an entry of `models` in a file of conf/pool. The committee has one generator, `synthesis.reviewers`
            reviewers (default: 3) and an adjudicator. So by default it needs five models. If you have fewer models, set
            `synthesis.reviewers` to a smaller number.
        output: folder of the result. If it holds an unfinished run, the run is resumed. If it is finished, it is
            returned at once.
        base_url: the OpenAI-compatible server(s), including /v1. The API key, if any, is read from OPENAI_API_KEY.
        pool: instead of `base_url`, the name of a file of conf/pool, which says where the models run: "small" (three
            real models on a CPU), "simulated", "transformers", ...
        backend: instead of `base_url` and `pool`, an object with `async def chat(self, request)` that returns the reply's text
            or a `Reply`. A call that raises `gra.errors.ServerError` is retried.
        rounds: number of rounds.
        samples: number of samples to keep in each round (None: the config's value).
        seed: seed of every random draw. The same seed and config give the same data.
        config: values for other keys of the config, which `gra synthesize --cfg job` prints,
            e.g. {"synthesis.tau": 7, "runtime.concurrency": 16}.

    Returns:
        The data folder, with `.dataset`, `.rejected`, `.stats`, `.card` and `.report()`.

    Raises:
        ConfigError: the seeds, models or keys have faults. It lists all of them, before anything is paid for.
        ServerError, SynthesisError: the run ended early. The same call resumes it.

    Example:
        >>> data = gra.synthesize("mine.jsonl", ["a", "b", "c"], base_url="http://127.0.0.1:8000/v1", output="data/mine",
        ...                       samples=100, config={"synthesis.reviewers": 1, "synthesis.min_reviews": 1})
        >>> data.dataset[0]["instruction"]
    """
    values: dict[str, Any] = {"seed": seed, "synthesis.rounds": rounds}
    values |= {} if samples is None else {"synthesis.samples_per_round": samples}
    target = "gra.synthesis.stage.run"
    with file_of(seeds, "seeds", output) as path:
        values |= {"seeds": "custom", "seeds.path": path}
        return Data(_run(target, "synthesis_app", output, values, models, base_url, pool, backend, config))


@of_app("refine_app")
def refine(
    data: Records,
    models: Models | None = None,
    *,
    output: str | Path,
    base_url: str | list[str] | dict[str, Any] | None = None,
    pool: str | None = None,
    backend: Any = None,
    how: str = "rewrite",
    seed: int = 0,
    config: Config | None = None,
) -> Data:
    """Let a committee improve and review the responses of an existing data set. The command is `gra refine`.

    `data`: the data set, in any form that `synthesize` accepts as `seeds`.
    `how`: what happens to the responses before the review. With "rewrite", the committee rewrites them. With "answer",
        it writes new answers in their place. With "keep", they stay as they are.

    The other arguments, the result and the errors are those of `synthesize`.

    Example:
        >>> better = gra.refine("alpaca.json", ["a", "b", "c", "d", "e"], base_url="http://127.0.0.1:8000/v1", output="data/better")
    """
    target = "gra.synthesis.refine.run"
    with file_of(data, "data", output) as path:
        values = {"seed": seed, "refine": how, "data": path}
        return Data(_run(target, "refine_app", output, values, models, base_url, pool, backend, config))


@of_app("refine_app")
def review(
    data: Records,
    models: Models | None = None,
    *,
    output: str | Path,
    base_url: str | list[str] | dict[str, Any] | None = None,
    pool: str | None = None,
    backend: Any = None,
    seed: int = 0,
    config: Config | None = None,
) -> Data:
    """Let a committee review an existing data set. The samples that it accepts are kept unchanged.

    This is the same as `refine` with `how="keep"`.

    Example:
        >>> kept = gra.review("alpaca.json", pool="simulated", output="data/kept")
        >>> kept.rejected["reason"]
    """
    which = {"base_url": base_url, "pool": pool, "backend": backend}
    return refine(data, models, output=output, how="keep", seed=seed, config=config, **which)


@of_app("probe_app")
def probe(
    seeds: Records,
    models: Models | None = None,
    *,
    output: str | Path,
    base_url: str | list[str] | dict[str, Any] | None = None,
    pool: str | None = None,
    backend: Any = None,
    seed: int = 0,
    config: Config | None = None,
) -> Probe:
    """Test whether the models can tell right answers from wrong ones, before you pay for a run. The command is
    `gra probe`.

    The arguments and the errors are those of `synthesize`, without `rounds` and `samples`.

    The method `.report()` of the returned object returns what the command prints. The attribute `.result` holds all
    numbers that the test measured. The attribute `.faults` holds the reasons not to run this committee.
    """
    target = "gra.synthesis.probe.stage.run"
    with file_of(seeds, "seeds", output) as path:
        values = {"seed": seed, "seeds": "custom", "seeds.path": path}
        return Probe(_run(target, "probe_app", output, values, models, base_url, pool, backend, config))


def _run(
    target: str,
    app: str,
    output: str | Path,
    values: dict[str, Any],
    models: Models | None,
    base_url: Any,
    pool: str | None,
    backend: Any,
    config: Config | None,
) -> Path:
    """Run a stage of the committee with the pool that the caller named. Return the folder."""
    ways = {"base_url": base_url, "pool": pool, "backend": backend}
    named = [name for name, value in ways.items() if value is not None]
    if len(named) != 1:
        what = f"given: {' and '.join(named)}" if named else "none of base_url, pool and backend is given"
        raise ConfigError(
            [Problem("pool", what, "give exactly one of them: base_url=URL, pool=NAME or backend=OBJECT")]
        )
    if models is None and pool is None:
        raise ConfigError(
            [Problem("models", "required, but not set", "give the models: models=['a', 'b', 'c', 'd', 'e']")]
        )
    with ExitStack() as stack:
        values = values | {"pool": pool or "servers"}
        if backend is not None:
            name = stack.enter_context(given(backend))
            simulated = bool(getattr(backend, "simulated", False))
            values["pool"] = "given"
            values |= {"pool.backend": name, "pool.simulated": simulated}
        if base_url is not None:
            values["pool.base_url"] = base_url
        if models is not None:
            values["pool.models"] = [models] if isinstance(models, str) else list(models)
        return run_stage(target, app, output, {**values, **(config or {})}).folder
