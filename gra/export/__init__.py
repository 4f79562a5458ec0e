"""Writes a data folder in the formats that other trainers read. Command: gra export --help"""

from gra.callable_package import call

call(__name__, "gra.api.exporting:export")
