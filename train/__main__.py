"""Stage 2 by itself: `python -m train data=DATA_FOLDER sft=lora student.model=MODEL output=DIR` (`--help` shows all keys)."""

from gra.chain.app import main

if __name__ == "__main__":
    main("train.stage.run", "train_app")
