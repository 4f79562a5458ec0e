"""`gra track report EXPERIMENT`: makes a W&B report of an experiment's runs: comparison, scores, curves of training and synthesis.

  gra track report quickstart                                      # in the project gra of your account's default team
  gra track report paper/main_table --entity my-team --project gra --tasks gsm8k bbh_chat
  gra track report quickstart --dry-run                            # list the sections and send nothing

The runs must be at the server: log online, or upload them first (gra track sync). An opened report shows the runs of
the group EXPERIMENT that W&B holds at that time. Each call of this command makes a new report. The command needs W&B's
own library for reports (pip install 'gra[reports]') and a key (WANDB_API_KEY, or `wandb login`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from gra.errors import StoreError
from gra.flags import Parser
from gra.tracking import cut


@dataclass(frozen=True)
class Section:
    """A section of a W&B report, with panels about the runs of one stage.

    `job_type`: the stage, which is W&B's job type of the runs. `table`: the name of a table that the runs logged.
    `bars`: keys of the runs' summaries. Each key gets a bar plot. `curves`: pairs (title, keys). Each pair gets a line
    plot over the steps of the runs.
    """

    title: str
    job_type: str
    text: str
    table: str = ""
    bars: tuple[str, ...] = ()
    curves: tuple[tuple[str, tuple[str, ...]], ...] = ()


def sections(tasks: Sequence[str]) -> tuple[Section, ...]:
    """Return the sections of a report. `tasks`: the benchmarks that get a bar plot of their own, named as in
    scores.json."""
    return (
        Section(
            "Comparison",
            "comparison",
            "Means and differences with 95 % intervals, as printed by `gra compare`.",
            table="comparison",
        ),
        Section(
            "Scores",
            "eval",
            "One bar per trained model. A bar has no interval: whether arms differ is said by the comparison above.",
            bars=("eval/mean", "eval/mean.tolerant", *(f"eval/{task}" for task in tasks)),
        ),
        Section(
            "Training",
            "train",
            "Loss over optimizer steps.",
            curves=(("training loss", ("train/loss",)), ("validation loss", ("validation/loss",))),
        ),
        Section(
            "Synthesis",
            "synthesis",
            "Over the proposals. An alpha near 0 means that the reviewers agree no more than by chance.",
            bars=("synthesis/kept", "synthesis/tokens_per_kept"),
            curves=(
                ("reviewers' agreement (Krippendorff's alpha)", ("synthesis/krippendorff_alpha",)),
                ("kept and accepted", ("synthesis/kept", "synthesis/accepted")),
            ),
        ),
    )


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code. Raises StoreError if W&B's library for reports is missing, if there is
    no W&B key, or if W&B makes no report."""
    parser = Parser("gra track report", __doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("experiment", metavar="EXPERIMENT", help="the W&B group of the runs: the experiment's name")
    parser.add_argument("--project", default="gra", help="W&B project of the runs; default: gra")
    parser.add_argument("--entity", help="team or user; default: the account's")
    parser.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="benchmarks with a plot of their own")
    parser.add_argument("--title", help="default: the experiment's name")
    parser.add_argument("--dry-run", action="store_true", help="list the sections and send nothing")
    given = parser.parse_args(arguments)
    parts = sections(given.tasks)
    if given.dry_run:
        for part in parts:
            shown = [
                *([part.table] if part.table else []),
                *part.bars,
                *(key for _, keys in part.curves for key in keys),
            ]
            print(f"{part.title:<11} runs of job type {part.job_type}: {', '.join(shown)}")
        print("nothing was sent, and W&B was not asked whether the group has runs (--dry-run)")
        return 0
    print(publish(parts, given.experiment, given.project, given.entity, given.title or given.experiment))
    return 0


def publish(parts: Sequence[Section], experiment: str, project: str, entity: str | None, title: str) -> str:
    """Make a report of the sections `parts` on W&B's server, and return its address. `experiment`: the W&B group whose
    runs are shown. Raises StoreError if W&B fails or if the group has no runs."""
    library = _library()
    import wandb

    try:
        server = wandb.Api()
        owner = entity or server.default_entity
        if not owner:
            raise StoreError("the W&B account has no default team\n    -> add --entity NAME")
        group = cut(experiment)
        if not len(server.runs(f"{owner}/{project}", filters={"group": group}, per_page=1)):
            remedy = "upload them: gra track sync DIR, or check the name"
            raise StoreError(f"no runs of group {group} in {owner}/{project}\n    -> {remedy}")
        whose = {"entity": str(owner), "project": project}
        blocks = [block for part in parts for block in _blocks(library, part, group, whose)]
        report = library.Report(title=title, blocks=[library.TableOfContents(), *blocks], **whose)
        report.save()
        return str(report.url)
    except StoreError:
        raise
    except Exception as error:  # W&B's libraries raise many types, and a bare Exception if there is no key
        remedy = "check WANDB_API_KEY, --entity, --project and the network; nothing else depends on the report"
        raise StoreError(f"W&B made no report: {str(error)[:300]}\n    -> {remedy}") from error


def _blocks(library: ModuleType, part: Section, group: str, whose: dict[str, str]) -> list[Any]:
    # the library reads filters as Python expressions, and its own filter objects fail on quotes in a name
    wanted = f"Group = {json.dumps(group, ensure_ascii=False)} and JobType = {json.dumps(part.job_type)}"
    runs = library.Runset(**whose, name=f"{part.job_type} runs of {group}", filters=wanted)
    panels = [library.WeavePanelSummaryTable(table_name=part.table)] if part.table else []
    panels += [library.BarPlot(title=key, metrics=[library.SummaryMetric(key)]) for key in part.bars]
    panels += [library.LinePlot(title=title, x="Step", y=list(keys)) for title, keys in part.curves]
    return [
        library.H2(text=part.title),
        library.P(text=part.text),
        library.PanelGrid(runsets=[runs], panels=panels),
    ]


def _library() -> ModuleType:
    try:
        import wandb_workspaces.reports.v2 as library
    except ImportError as error:
        raise StoreError("W&B's library for reports is not installed\n    -> pip install 'gra[reports]'") from error
    return library
