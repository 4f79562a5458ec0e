"""The like workload for distilabel 1.5.3: one text, then three judges of it, side by side. Runs in distilabel's own environment.

    python distilabel.py URL IN_FLIGHT ROWS FOLDER BATCH

distilabel has no limit of calls in flight: each step sends a batch at once, and steps work side by side. BATCH x 4 steps is
the most it can have in flight; IN_FLIGHT is not used.
"""

import sys
from pathlib import Path

sys.path = [
    p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent
]  # `distilabel` is not this file

from distilabel.models.llms import OpenAILLM  # noqa: E402
from distilabel.pipeline import Pipeline  # noqa: E402
from distilabel.steps import GroupColumns, LoadDataFromDicts  # noqa: E402
from distilabel.steps.tasks import TextGeneration  # noqa: E402


def main():
    url, _, count, folder, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])

    def model(name):
        return OpenAILLM(model=name, base_url=url, api_key="none", generation_kwargs={"max_new_tokens": 64})

    rows = [{"instruction": f"Write an instruction about topic {i}"} for i in range(count)]
    with Pipeline(name="like-workload", cache_dir=folder) as pipeline:
        source = LoadDataFromDicts(data=rows, batch_size=batch)
        names = {"generation": "text", "model_name": "writer"}
        writer = TextGeneration(name="writer", llm=model("gen"), input_batch_size=batch, output_mappings=names)
        judges = [
            TextGeneration(
                name=f"judge_{x}",
                llm=model(f"judge-{x}"),
                input_batch_size=batch,
                template="Rate: {{ text }}",
                columns=["text"],
                output_mappings={"generation": "verdict"},
            )
            for x in "abc"
        ]
        source >> writer >> judges >> GroupColumns(columns=["verdict"], output_columns=["verdicts"])
    done = pipeline.run(use_cache=False)["default"]["train"]
    print(f"whole rows: {sum(len(row['verdicts']) == 3 and all(row['verdicts']) for row in done)}")


if __name__ == "__main__":
    main()
