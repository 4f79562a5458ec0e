"""`python -m train ...` is `gra train ...`; under torchrun: `torchrun --nproc-per-node 8 -m train ...` (train/launch.py)."""

import sys

from gra.stage_commands import train

if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]))
