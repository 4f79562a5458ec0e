"""Stage 2 by itself: `python -m train data=DATA_FOLDER sft=lora student.model=MODEL output=DIR` (`--help` shows all keys).

On 8 GPUs: `python -m train ... launch=torchrun nproc=8`, or `torchrun --nproc-per-node 8 -m train ...` (train/launch.py).
"""

from gra.chain.app import main
from train.worker import quiet_unless_first

if __name__ == "__main__":
    quiet_unless_first()
    main("train.stage.run", "train_app")
