"""The sandbox for model-written code: what it must let through, and what it must not, in every way that works here."""

from __future__ import annotations

import gzip
import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gra.eval import sandbox
from gra.eval.sandbox import Isolation, Limits, SandboxError, isolation, run_all, run_one
from gra.eval.sandbox import run as running
from gra.eval.sandbox.isolation import candidates
from gra.eval.scoring import code

BENCHMARKS = Path(__file__).resolve().parents[4] / "shared" / "data" / "benchmarks"
SHORT = Limits(seconds=3)
HARM = {
    "reads a file of the system's": "open('/etc/passwd').read()",
    "reads a file of ours": f"open({__file__!r}).read()",
    "opens a socket": "import socket; socket.socket()",
    "connects": "import socket; socket.create_connection(('127.0.0.1', 22), 2)",
    "forks without end": "import os\nwhile True: os.fork()",
    "starts threads without end": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
    "takes 10 GB": "x = bytearray(10 << 30)",
    "loops": "while True: pass",
    "writes 1 GB": "f = open('/tmp/x', 'wb')\nfor _ in range(1024): f.write(bytes(1 << 20))",
    "writes 1 GB in small files": "for i in range(1024): open(f'/tmp/{i}', 'wb').write(bytes(1 << 20))",
    "writes elsewhere": "open('/usr/x', 'w')",
    "writes to shared memory": "open('/dev/shm/x', 'w')",
    "kills its parent": "import os, time; os.kill(os.getppid(), 9); time.sleep(1)",
    "prints 100 MB": "for _ in range(100): print('x' * (1 << 20))",
    "makes namespaces": "import ctypes; assert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "mounts": "import ctypes; assert ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0",
    "takes memory that no process owns": "import ctypes; assert ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600) >= 0",
    "takes memory as a file": "import os; os.memfd_create('x')",
    "leaves before its tests": "import sys; sys.exit(0)",
    "leaves at once": "import os; os._exit(0)",
    "is wrong": "assert 1 + 1 == 3",
    "is no Python": "def f(:",
    "guesses the report": (
        "import os\nfor fd in range(3, 20):\n    try: os.write(fd, b'0' * 32)\n    except OSError: pass\nos._exit(0)"
    ),
}


def works(way: Isolation) -> bool:
    return run_one("pass", SHORT, way).passed


WAYS = candidates()
ways = pytest.mark.parametrize("way", WAYS or [None], ids=lambda way: way.name if way else "nothing installed")


@pytest.fixture
def working(way: Isolation | None) -> Isolation:
    if way is None or not works(way):
        pytest.skip(f"{way.name if way else 'no sandbox'}: not possible here")
    return way


@ways
@pytest.mark.parametrize("what", HARM)
def test_harm_is_denied_and_counts_as_a_fail(working: Isolation, what: str) -> None:
    verdict = run_one(HARM[what], SHORT, working)
    assert not verdict.passed, verdict
    assert verdict.reason == {"loops": "timeout", "prints 100 MB": "output"}.get(what, verdict.reason)
    assert len(verdict.said) <= 2000


@ways
def test_honest_work_is_let_through(working: Isolation) -> None:
    program = (
        "import collections, functools, hashlib, heapq, itertools, math, os, random, re, statistics, string, threading\n"
        "open('/tmp/scratch', 'w').write('x')\n"
        "thread = threading.Thread(target=print, args=('from a thread',)); thread.start(); thread.join()\n"
        "assert hashlib.md5(b'').hexdigest().startswith('d41d')\n"
        "assert not os.environ.get('HOME') and 'SECRET' not in os.environ\n"
        "print('done')"
    )
    os.environ["SECRET"] = "x"
    try:
        verdict = run_one(program, SHORT, working)
    finally:
        del os.environ["SECRET"]
    assert verdict.passed, verdict
    assert verdict.said.split() == ["from", "a", "thread", "done"]


@ways
def test_nothing_is_left_behind(working: Isolation) -> None:
    mark = "83.125"
    program = f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep({mark})"
    assert run_one(program, SHORT, working).passed
    left = subprocess.run(["pgrep", "-f", mark.replace(".", r"\.")], capture_output=True, text=True, check=False)
    assert left.stdout == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can try it as another user")
@pytest.mark.slow
def test_as_a_normal_user() -> None:
    python = "/usr/bin/python3"  # one that everybody may read
    if (
        not Path(python).exists()
        or subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode
    ):
        pytest.skip(f"needs {python} of 3.11 or later")
    place = Path("/tmp") / f"gra-sandbox-test-{os.getpid()}"
    shutil.copytree(
        Path(sandbox.__file__).parent, place / "gra" / "eval" / "sandbox", ignore=shutil.ignore_patterns("__pycache__")
    )
    for package in ("gra", "gra/eval"):
        (place / package / "__init__.py").touch()
    (place / "harm.json").write_text(json.dumps(HARM))
    code = (
        "import json\nfrom gra.eval.sandbox import Limits, run_one\nfrom gra.eval.sandbox.isolation import candidates\n"
        "out = {}\nfor way in candidates():\n"
        "    def passes(program): return run_one(program, Limits(seconds=3), way).passed\n"
        "    if passes('pass'): out[way.name] = [k for k, p in json.load(open('harm.json')).items() if passes(p)]\n"
        "print(json.dumps(out))"
    )
    nobody = pwd.getpwnam("nobody")
    try:
        subprocess.run(["chmod", "-R", "a+rX", str(place)], check=True)
        done = subprocess.run(
            [python, "-B", "-c", code],
            cwd=place,
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"]},
            check=False,
            timeout=120,
        )
    finally:
        shutil.rmtree(place)
    assert done.returncode == 0, done.stderr
    passed: dict[str, Any] = json.loads(done.stdout)
    if not passed:
        pytest.skip("this kernel gives users no namespaces")
    assert not any(passed.values()), passed


def test_programs_of_sbin_are_found_although_path_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's PATH of ordinary users lacks /usr/sbin, where `chroot` lies."""
    before = [(way.name, works(way)) for way in candidates()]
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    assert [(way.name, works(way)) for way in candidates()] == before


def test_the_programs_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("unshare", "mount", "sh"):
        (tmp_path / name).write_text("#!/bin/true\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys.modules["gra.eval.sandbox.isolation"], "_SBIN", ())
    isolation.cache_clear()
    try:
        with pytest.raises(SandboxError, match=rf"bwrap\) is not installed.*: no chroot, setpriv in {tmp_path}\n"):
            run_all(["print('ran')"])
    finally:
        isolation.cache_clear()


def test_without_any_way_nothing_runs_and_the_override_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Isolation("broken", lambda command, _: ["false", *command])
    monkeypatch.setattr(running, "candidates", lambda: [broken])
    isolation.cache_clear()
    try:
        with pytest.raises(SandboxError, match=r"suite\.sandbox=none"):
            run_all(["print('ran')"])
    finally:
        isolation.cache_clear()


def test_without_a_sandbox_a_program_still_runs_and_where_it_cannot_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As root, too, whose Python may lie in a folder that is root's alone."""
    before = list(code._way)
    try:
        code.protect("none")
        assert [v.reason for v in run_all(["import decimal, json", "assert False"], way=code.UNPROTECTED)] == [
            "passed",
            "failed",
        ]
        monkeypatch.setattr(running, "interpreter", lambda: "/bin/false")
        with pytest.raises(SandboxError, match="test program failed to run without a sandbox"):
            code.protect("none")
    finally:
        code._way[:] = before


def test_what_is_mounted_below_a_readable_folder_is_read_only_too() -> None:
    place = next(
        (path for path in (Path("/usr/games"), Path("/usr/local/games"), Path("/usr/src")) if path.is_dir()), None
    )
    if os.getuid() != 0 or place is None or not any(way.name == "namespaces" and works(way) for way in WAYS):
        pytest.skip("needs root, and the way `namespaces`")
    program = f"import os; assert not os.listdir({str(place)!r}); open({str(place / 'x')!r}, 'w')"
    check = (
        "from gra.eval.sandbox import Limits, run_one\nfrom gra.eval.sandbox.isolation import candidates\n"
        "[way] = [way for way in candidates() if way.name == 'namespaces']\n"
        f"print(run_one({program!r}, Limits(), way).said)"
    )
    mounted = f'mount -t tmpfs -o mode=777,nosuid none {place} && exec "$0" -c "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted, sys.executable, check],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(sandbox.__file__).parents[2],
    )
    assert "Read-only file system" in done.stdout, done.stdout + done.stderr


def read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def together(programs: list[str]) -> str:
    """Many programs that are trusted to be right as one, each with names of its own."""
    return f"for program in {programs!r}:\n    exec(compile(program, 'program.py', 'exec'), {{'__name__': '__main__'}})"


@pytest.mark.slow
@pytest.mark.skipif(not any(works(way) for way in WAYS), reason="no sandbox is possible here")
def test_known_good_solutions_pass_and_broken_ones_fail() -> None:
    tasks = read(BENCHMARKS / "humaneval" / "test.jsonl.gz")
    good = [f"{t['prompt']}{t['canonical_solution']}\n{t['test']}\ncheck({t['entry_point']})" for t in tasks]
    broken = [f"{t['prompt']}    return None\n{t['test']}\ncheck({t['entry_point']})" for t in tasks[:40]]
    verdicts = run_all(good + broken)
    assert [t["task_id"] for t, v in zip(tasks, verdicts, strict=False) if not v.passed] == []
    assert not any(v.passed for v in verdicts[len(good) :])

    tasks = [t for path in sorted((BENCHMARKS / "mbpp" / "full").glob("*.jsonl.gz")) for t in read(path)]
    slow = {123}  # counts for 10 s and more
    good = [
        "\n".join([t["code"], t["test_setup_code"], *t["test_list"], *t["challenge_test_list"]])
        for t in tasks
        if t["task_id"] not in slow
    ]
    assert len(good) >= 970
    batches = [good[i : i + 25] for i in range(0, len(good), 25)]
    verdicts = run_all([together(batch) for batch in batches], Limits(seconds=60))
    assert [(v.reason, v.said[-300:]) for v in verdicts if not v.passed] == []


def test_progress_and_order() -> None:
    if not any(works(way) for way in WAYS):
        pytest.skip("no sandbox is possible here")
    seen: list[int] = []
    verdicts = run_all(["pass", "assert False", "pass"], workers=2, done=seen.append)
    assert [v.passed for v in verdicts] == [True, False, True]
    assert seen == [1, 2, 3]
    assert sys.getrecursionlimit()  # nothing of the programs ran here
