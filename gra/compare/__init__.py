"""Makes the comparison from the stages' folders: table, confidence intervals and HTML report."""

from gra.callable_package import call

call(__name__, "gra.api.students:compare")
