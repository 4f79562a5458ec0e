"""Stage 2: fine-tunes a student on a data folder with TRL and PEFT and writes a model folder. Command: gra train --help"""

from gra.callable_package import call

call(__name__, "gra.api.students:train")
