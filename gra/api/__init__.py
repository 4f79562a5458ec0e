"""GRA from Python: `import gra; data = gra.synthesize(seeds=..., models=[...], base_url=..., output=...)`. See docs/python.md.

The functions run the same stages as the commands, in this process, with the same checks, journal and folders. After a kill,
the same call resumes; if the folder is finished, the call returns it at once. The functions work in notebooks and in scripts
without a `__main__` guard.
"""

from gra.api.committee import probe, refine, review, synthesize
from gra.api.exporting import export
from gra.api.results import Data, Folder, Probe, Scores, TrainedModel, load
from gra.api.students import compare, evaluate, train

__all__ = [
    "Data",
    "Folder",
    "Probe",
    "Scores",
    "TrainedModel",
    "compare",
    "evaluate",
    "export",
    "load",
    "probe",
    "refine",
    "review",
    "synthesize",
    "train",
]
