"""What `gra` offers to Python, for type checkers and editors: __init__.py imports it when it is first used."""

from gra.api.committee import probe as probe
from gra.api.committee import refine as refine
from gra.api.committee import review as review
from gra.api.committee import synthesize as synthesize
from gra.api.exporting import export as export
from gra.api.results import Data as Data
from gra.api.results import Folder as Folder
from gra.api.results import Probe as Probe
from gra.api.results import Scores as Scores
from gra.api.results import TrainedModel as TrainedModel
from gra.api.results import load as load
from gra.api.students import compare as compare
from gra.api.students import evaluate as evaluate
from gra.api.students import train as train

__version__: str
