"""Makes `python -m eval ...`, in a clone of the repository, the same command as `gra eval ...`."""

import sys

from gra.stage_commands import evaluate

if __name__ == "__main__":
    sys.exit(evaluate(sys.argv[1:]))
