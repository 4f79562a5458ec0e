"""Reads files, folders and hub data sets into seeds; every record that is left out gets a reason."""
