"""`python -m eval ...` is `gra eval ...`."""

import sys

from gra.stage_commands import evaluate

if __name__ == "__main__":
    sys.exit(evaluate(sys.argv[1:]))
