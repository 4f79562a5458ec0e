"""Evaluate a model. Command: python -m eval suite=smoke model.path=FOLDER_OR_HUB_ID output=DIR"""

from __future__ import annotations

from gra.chain.app import main

if __name__ == "__main__":
    main("eval.stage.run", "eval_app")
