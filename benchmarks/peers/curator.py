"""The like workload for bespokelabs-curator 0.1.31: one text, then three judges of it. Runs in curator's own environment.

    python curator.py URL IN_FLIGHT ROWS FOLDER

curator joins stages by whole datasets, so the judges follow one another; each has the whole limit of calls in flight.
"""

import os
import sys
from pathlib import Path

os.environ["TELEMETRY_ENABLED"] = "0"
os.environ["CURATOR_DISABLE_RICH_DISPLAY"] = "1"
os.environ.setdefault("OPENAI_API_KEY", "none")
# litellm carries tiktoken's vocabulary; without this it is looked for on the network
SITE = Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
os.environ["TIKTOKEN_CACHE_DIR"] = str(SITE / "litellm" / "litellm_core_utils" / "tokenizers")
sys.path = [
    p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent
]  # `curator` is not this file

from bespokelabs import curator  # noqa: E402
from datasets import Dataset  # noqa: E402


class Writer(curator.LLM):
    def prompt(self, row):
        return f"Write an instruction about topic {row['number']}"

    def parse(self, row, response):
        return row | {"text": response}


class Judge(curator.LLM):
    def prompt(self, row):
        return f"Rate: {row['text']}"

    def parse(self, row, response):
        return row | {self.verdict: response}


def main():
    url, in_flight, count, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    limits = {
        "base_url": url,
        "api_key": "none",
        "max_concurrent_requests": in_flight,
        "max_requests_per_minute": 10**7,
        "max_tokens_per_minute": 10**10,
    }
    rows = Dataset.from_list([{"number": i} for i in range(count)])
    rows = Writer(model_name="gen", backend="openai", backend_params=limits)(rows, working_dir=folder).dataset
    for name in "abc":
        judge = Judge(model_name=f"judge-{name}", backend="openai", backend_params=limits)
        judge.verdict = f"verdict_{name}"
        rows = judge(rows, working_dir=folder).dataset
    whole = sum(all(row[f"verdict_{name}"] for name in "abc") for row in rows)
    print(f"whole rows: {whole}")


if __name__ == "__main__":
    main()
