"""Reads files, folders and hub data sets into seeds: containers, formats, columns, and a reason for every record left out."""
