"""`python -m gra.config_reference [FOLDER]` writes configuration.md and config.schema.json into FOLDER (default:
docs)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from gra.config_reference.page import render
from gra.config_reference.schema import whole_schema
from gra.fileio import write_text

PAGE, SCHEMA = "configuration.md", "config.schema.json"


def files() -> dict[str, str]:
    """Return the contents of configuration.md and config.schema.json, by file name."""
    return {PAGE: render(), SCHEMA: json.dumps(whole_schema(), indent=1, ensure_ascii=False) + "\n"}


def main() -> None:
    """Write configuration.md and config.schema.json. Raises OSError if the folder cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m gra.config_reference", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("docs"), help="an existing folder; default: docs")
    folder: Path = parser.parse_args().folder
    if not folder.is_dir():
        parser.error(f"{folder} is not a folder -> run it at the top of a clone, or give a folder")
    for name, content in files().items():
        write_text(folder / name, content)
        print(folder / name)


if __name__ == "__main__":
    main()
