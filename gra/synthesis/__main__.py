"""`python -m gra.synthesis ...` is `gra synthesize ...`."""

import sys

from gra.stage_commands import synthesize

if __name__ == "__main__":
    sys.exit(synthesize(sys.argv[1:]))
