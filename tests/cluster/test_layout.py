"""Which jobs a plan becomes; no Slurm is needed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gra import server_addresses
from gra.chain.config.experiment import Experiment, Step
from gra.chain.execution.cluster_settings import SlurmSettings
from gra.chain.execution.plan import Plan, make_plan
from gra.chain.store.store import Store
from gra.cluster.layout import Facts, arrays, command, fitted, jobs_of, key_of, options, ranges, template
from gra.cluster.records import Submission, Submitted, comment
from gra.cluster.slurm import Row
from gra.cluster.status import lines_of, status
from gra.cluster.submit import dependency, serving
from gra.cluster.task import gate
from gra.errors import EXIT_MISSING, MissingError, StoreError
from gra.parts import Part, Wave
from gra.synthesis.engine.shard_folders import pin

NOTHING = Facts(lambda _folder: False)


@given(st.sets(st.integers(0, 5000), min_size=1), st.integers(1, 1001))
def test_arrays_hold_every_task_once_below_the_clusters_limit(tasks: set[int], limit: int) -> None:
    found = arrays(sorted(tasks), limit)
    assert all(0 <= number < limit for _, numbers in found for number in numbers)
    assert sorted(offset + number for offset, numbers in found for number in numbers) == sorted(tasks)
    for _, numbers in found:
        spelt = [part.split("-") for part in ranges(numbers).split(",")]
        assert [n for part in spelt for n in range(int(part[0]), int(part[-1]) + 1)] == numbers


def synthesis(rounds: int = 2) -> dict[str, Any]:
    return {
        "seed": 0,
        "seeds": {"path": "seeds.jsonl"},
        "pool": {"_target_": "gra.models.openai.backend.connect", "models": ["a"], "base_url": "http://x/v1"},
        "synthesis": {"rounds": rounds, "samples_per_round": 5},
        "runtime": {},
    }


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seeds.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    steps = {
        "gra/data": Step("gra/data", "data", "gra", None, "gra.synthesis.stage.run", synthesis(), {}, frozenset()),
        "gra/audit": Step(
            "gra/audit", "audit", "gra", None, "gra.simulation.audit.run", {}, {"data": "gra/data"}, frozenset()
        ),
    }
    return make_plan(Experiment("x", "x", None, {}, steps, []), Store(tmp_path / "store"))[0]


def settings(**stage: Any) -> SlurmSettings:
    return SlurmSettings.model_validate({"stages": {"synthesis": {"shards": 5, **stage}}, "resources": {"mem": "1G"}})


@given(st.integers(1, 4), st.integers(1, 9))
def test_at_most_so_many_steps_run_at_the_same_time(most: int, count: int) -> None:
    """Steps that wait for nothing else form `most` chains, each a job after the end of the one before."""
    names = [f"arm{n}/audit" for n in range(count)]
    steps = {
        n: Step(n, "audit", n, None, "gra.simulation.audit.run", {"seed": i}, {}, frozenset())
        for i, n in enumerate(names)
    }
    plan = make_plan(Experiment("x", "x", None, {}, steps, []), Store(Path("nowhere")))[0]
    jobs = jobs_of(plan, SlurmSettings(max_parallel=most), NOTHING)
    keys = [job.key for job in jobs]
    assert [job.after_any for job in jobs] == [() if i < most else (keys[i - most],) for i in range(count)]
    assert len(jobs) == count


def test_a_divided_step_is_arrays_and_merges_each_after_the_one_before(plan: Plan) -> None:
    jobs = jobs_of(plan, settings(merge={"mem": "9G"}, gpus="h100:2"), NOTHING)
    assert [job.name for job in jobs] == [
        *("gra/data round-0", "gra/data merge-0", "gra/data round-1", "gra/data merge-1", "gra/data round-2"),
        *("gra/data", "gra/audit"),
    ]
    ids = {job.key: [str(number)] for number, job in enumerate(jobs, 1)}
    waits = [dependency(job.after, job.after_any, ids) for job in jobs]
    assert waits == [None, "afterany:1", "afterok:2", "afterany:3", "afterok:4", "afterany:5", "afterok:6"]
    assert [template(job) for job in jobs[:2]] == ["array.sbatch", "task.sbatch"]
    first, merge = (options(job, settings(), "gra:x:y") for job in jobs[:2])
    assert {"--mem=1G", "--gres=gpu:h100:2", "--signal=B:USR1@120", "--kill-on-invalid-dep=yes"} <= set(first)
    assert "--mem=9G" in merge
    assert command(jobs[0], "python", "apptainer exec x.sif", Path("s"), settings())[:4] == [
        *("apptainer", "exec", "x.sif", "python")
    ]


def test_servers_are_an_array_that_the_first_of_their_jobs_waits_for(plan: Plan) -> None:
    serve = {"command": "vllm serve {model} --port {port}", "gpus_per_model": 1}
    item = plan.steps["gra/data"]
    for models in (["a"], ["a", "b"]):
        pool = {"_target_": "gra.models.openai.backend.connect", "models": models, "serve": serve}
        made = replace(item, step=replace(item.step, config={**synthesis(), "pool": pool}))
        served = replace(plan, steps={**plan.steps, "gra/data": made})
        given = settings(servers={"gpus": "h100:1", "partition": "gpu", "replicas": 2, "host": "here", "wait_s": 60})
        servers, first, *rest = jobs_of(served, given, NOTHING)
        assert (servers.name, servers.tasks) == ("gra/data servers", tuple(range(2 * len(models))))
        assert servers.key == f"{key_of('synthesis', item.digest or '')}/servers"
        assert (first.name, first.after_start) == ("gra/data round-0", (servers.key,))
        assert all(job.after_start == () for job in rest)
        ids = {servers.key: ["7"], first.key: ["8"]}
        assert dependency(first.after, first.after_any, ids, first.after_start) == "after:7"
        asked = options(servers, given, "gra:x:y")
        assert {"--partition=gpu", "--gres=gpu:h100:1", "--mem=1G", "--requeue"} <= set(asked)
        assert "--partition=gpu" not in options(first, given, "gra:x:y")
        words = command(servers, "python", "srun", Path("s"), given)
        assert words == ["srun", "python", "-P", "-m", "gra.cluster.serving", "s", "--host=here", "--task=%"]
        calling = [
            job.name for job in (first, *rest) if "--servers-wait=60" in command(job, "p", None, Path("s"), given)
        ]
        assert calling == [job.name for job in (first, *rest) if job.stage == "synthesis"]
    alive = {job.key for job in (servers, first, *rest)}
    again = jobs_of(served, given, Facts(lambda _folder: False, alive, {servers.key: {0, 1, 3}}))
    assert [(job.name, job.tasks) for job in again] == [("gra/data servers", (2,))]  # one is missing, and nothing else
    assert jobs_of(served, given, Facts(lambda _folder: False, alive, {servers.key: {0, 1, 2, 3}})) == []
    few = given.model_copy(update={"max_jobs": 3, "max_parallel": 1})
    jobs, factor = fitted(served, few, NOTHING)  # the limit of jobs cannot be kept: there is a server for each model
    assert (factor, jobs[0].count, jobs[1].count) == (5, 4, 1)


def test_server_tasks_that_have_said_that_they_end_are_not_counted(tmp_path: Path) -> None:
    key = "synthesis-abc/servers"
    folder = server_addresses.folder_of(tmp_path, "synthesis-abc")
    for number, (job, state) in enumerate([("12_0", "up"), ("12_1", "left"), ("11_2", "left")]):
        server_addresses.write(folder, number, server_addresses.Address("m", "http://h:1/v1", job, 1, 0.0, state))
    said = comment(tmp_path, key)
    rows = [Row(f"12_{number}", "RUNNING", "", said) for number in range(4)]
    rows.append(Row("13", "RUNNING", "", comment(tmp_path, "synthesis-abc/merge-0")))
    assert serving(tmp_path, rows) == {key: {0, 2, 3}}  # what an earlier start left does not count


def test_only_what_is_missing_is_queued(plan: Plan) -> None:
    def done(folder: Path) -> bool:
        return folder.name in ("merged-0", "shard-1-of-5") and "round-2" not in str(folder)

    jobs = jobs_of(plan, settings(), Facts(done))
    assert jobs[0].name == "gra/data round-1"  # the merge before holds what is earlier
    assert jobs[0].tasks == (0, 2, 3, 4)
    alive = {jobs[0].key, jobs[1].key}
    rest = jobs_of(plan, settings(), Facts(done, alive))
    assert [job.name for job in rest] == ["gra/data round-2", "gra/data", "gra/audit"]
    assert rest[0].after == (jobs[1].key,)  # it waits for what is queued


def test_the_clusters_limit_of_jobs_makes_tasks_that_do_several_shards(plan: Plan) -> None:
    most = settings().model_copy(update={"max_jobs": 10})
    jobs, factor = fitted(plan, most, NOTHING)
    assert factor == 3
    assert sum(job.count for job in jobs) <= 10
    done = {folder for paths in jobs[0].outputs.values() for folder in paths}
    assert len(done) == 5
    assert command(jobs[0], "python", None, Path("s"), most)[-4:] == [
        *("--shards=5", "--per-task=3", "--wave=round-0", "--task=%")
    ]


def test_another_number_of_shards_is_refused_before_anything_is_queued(plan: Plan) -> None:
    place = plan.store.place("synthesis", "gra/data", plan.steps["gra/data"].digest or "").final
    pin(place.with_name(f"{place.name}.shards"), 4)
    with pytest.raises(StoreError, match="divided into 4 shards, not 5"):
        jobs_of(plan, settings(), NOTHING)


def test_a_merge_takes_over_few_missing_shards_and_names_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wave = Wave("round-1", 20, lambda number: Part("x", {}, tmp_path / f"shard-{number}", {}))
    for number in range(18):
        (tmp_path / f"shard-{number}").mkdir()
        (tmp_path / f"shard-{number}" / "manifest.json").touch()
    gate(wave, 0.1)
    assert "[18, 19] are missing; this job makes their calls" in capsys.readouterr().out
    with pytest.raises(MissingError, match=r"shards missing in round-1: 18, 19 \(2 of 20") as error:
        gate(wave, 0.05)
    assert error.value.code == EXIT_MISSING


def test_what_slurm_wrote_when_it_ended_a_job_is_its_last_error(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "job.attempts").write_text("2\n")
    (logs / "slurm-7.log").write_text(
        "7 on a: attempt 1, log x\nslurmstepd-a: error: *** JOB 7 ON a CANCELLED AT now DUE TO JOB REQUEUE ***\n"
        "7 on a: attempt 2, log y\nslurmstepd-a: error: StepId=7.batch exceeded memory limit (9 > 5), being killed\n"
        "slurmstepd-a: error: Exceeded job memory limit\n7: attempt 2 ended with exit code 85\n"
    )
    job = Submitted(
        "x-1", "a/x", "a/x", "x", "1", None, 1, [], [], {"0": [str(tmp_path / "none")]}, str(logs), {"7": 0}
    )
    Submission(tmp_path / ".jobs" / "then", "x", "", None, [], [job]).write()
    (line,) = lines_of(tmp_path, [])
    both = "StepId=7.batch exceeded memory limit (9 > 5), being killed; Exceeded job memory limit"
    assert (line.state, line.error) == ("stopped", f"Slurm: {both}; gra submit queues it again")
    (logs / "slurm-7.log").write_text((logs / "slurm-7.log").read_text().partition("slurmstepd-a: error: StepId")[0])
    assert "cancelled, or ended with its node" in str(lines_of(tmp_path, [])[0].error)


def test_a_job_that_ran_only_after_another_does_not_name_it_as_missing(tmp_path: Path) -> None:
    """With cluster.max_parallel a step starts after the end of one whose results it does not need."""
    logs = str(tmp_path / "logs")

    def job(key: str, after: list[str], after_any: list[str]) -> Submitted:
        folders = {"0": [str(tmp_path / key)]}
        return Submitted(key, f"a/{key}", f"a/{key}", "x", "1", None, 1, after, after_any, folders, logs, {"7": 0})

    jobs = [job("data", [], []), job("model", [], ["data"]), job("scores", ["model"], ["data"])]
    Submission(tmp_path / ".jobs" / "then", "x", "", None, [], jobs).write()
    cancelled = "it was cancelled, or ended with its node; gra submit queues it again"
    assert [line.error for line in lines_of(tmp_path, [])] == [
        *(cancelled, cancelled, "not started: a/model did not finish")
    ]


def test_the_log_is_shown_from_here_and_only_for_jobs_that_are_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "runs" / "store"
    for name in ("made", "not"):
        logs = store / ".jobs" / "then" / name
        logs.mkdir(parents=True)
        (logs / "job.attempts").write_text("1")
        (logs / "job.attempt-1.log").write_text("a disk is full\n")
    (store / "made").mkdir()
    (store / "made" / "manifest.json").touch()
    (store / ".jobs" / "then" / "not" / "job.exit").write_text("1")
    jobs = [
        Submitted(name, name, name, "x", "1", None, 1, [], [], {"0": [str(store / name)]}, f"{store}/.jobs/then/{name}")
        for name in ("made", "not")
    ]
    Submission(store / ".jobs" / "then", "x", "", None, [], jobs).write()
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    status([])
    made, other, error, _ = capsys.readouterr().out.splitlines()
    assert (made, error) == ("made: done, job , attempt 1", "    a disk is full")
    assert other == "not: failed, job , attempt 1, log runs/store/.jobs/then/not/job.attempt-1.log"
    status(["--json"])
    assert [job["log"] for job in json.loads(capsys.readouterr().out)["jobs"]] == [
        f"{store}/.jobs/then/{name}/job.attempt-1.log" for name in ("made", "not")
    ]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Priority", None),
        ("Dependency", None),
        ("PartitionConfig", "PartitionConfig"),
        ("(ReqNodeNotAvail, down)", "ReqNode"),
    ],
)
def test_a_job_that_slurm_does_not_start_is_shown_with_the_reason(
    tmp_path: Path, reason: str, told: str | None
) -> None:
    folder = str(tmp_path / "none")
    job = Submitted("x-1", "a/x", "a/x", "x", "1", None, 1, [], [], {"0": [folder]}, str(tmp_path / "logs"), {"7": 0})
    Submission(tmp_path / ".jobs" / "then", "x", "", None, [], [job]).write()
    (line,) = lines_of(tmp_path, [Row("7", "PENDING", reason, comment(tmp_path, job.key))])
    assert line.state == "waiting"
    assert (line.error is None) == (told is None)
    assert told is None or told in str(line.error)
