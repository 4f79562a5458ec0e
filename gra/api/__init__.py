"""GRA from Python: `import gra; data = gra.synthesize(seeds=..., models=[...], base_url=..., output=...)`. See docs/python.md.

The functions run the stages of the commands in this process, with the same checks, journal and folders: killed at any moment, the
same call resumes, and a finished folder is returned at once. They work in scripts without a `__main__` guard and in notebooks.
"""

from gra.api.committee import probe, refine, review, synthesize
from gra.api.results import Data, Folder, Scores, TrainedModel, load
from gra.api.students import compare, evaluate, train

__all__ = [
    "Data",
    "Folder",
    "Scores",
    "TrainedModel",
    "compare",
    "evaluate",
    "load",
    "probe",
    "refine",
    "review",
    "synthesize",
    "train",
]
