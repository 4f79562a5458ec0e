"""Every command that prints, on terminals and pipes of other encodings: the same words, no traceback."""

from __future__ import annotations

import subprocess

import pytest
from places import Place

LOCALES = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.mark.parametrize("locale", LOCALES)
def test_commands_print_in_any_locale(place: Place, locale: str) -> None:
    """Plan, run, compare and the config of an experiment whose names hold what the encoding lacks."""
    path = place.folder / "conf" / "experiment" / "fake.yaml"
    text = (
        path.read_text(encoding="utf-8")
        .replace("title: A fake", 'title: "A fake — 日本 ±1"')
        .replace("Arm B", "Bras é →")
    )
    path.write_text(text, encoding="utf-8")
    environment = {
        key: value for key, value in place.environment.items() if not key.startswith(("LC_", "LANG", "PYTHONIO"))
    }
    further = (("compare", "--items-only"), ("plan", "--cfg", "job")) if locale == "latin-1" else ()
    for words in (("plan",), ("run",), *further):
        command = place.command(words[0], "experiment=fake", *words[1:])
        run = subprocess.run(
            command, cwd=place.folder, env=environment | LOCALES[locale], capture_output=True, check=False
        )
        shown = run.stdout + run.stderr
        assert run.returncode == 0, shown
        assert b"Traceback" not in shown
        assert b"UnicodeEncodeError" not in shown
        assert b"A fake" in run.stdout
        assert (b"\xb11" in run.stdout) == (locale == "latin-1")
        if locale != "latin-1":
            assert b"+-1" in run.stdout
    # files are UTF-8
    assert "日本" in (place.folder / "runs" / "results" / "fake" / "table.md").read_text(encoding="utf-8")


def test_stars_over_items_are_asked_for_by_a_flag(place: Place) -> None:
    assert place.gra("run", "experiment=fake").returncode == 0
    config = place.gra("compare", "experiment=fake", "--items-only", "--cfg", "job").stdout
    assert "items_only: true" in config
    wrong = place.gra("plan", "experiment=fake", "++experiment.compare.resamples=99")
    assert wrong.returncode == 2
    assert "compare.resamples" in wrong.stdout + wrong.stderr
