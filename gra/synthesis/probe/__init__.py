"""Tests a committee on answers that are known to be right or wrong, before a synthesis is paid for. See `gra probe
--help`."""
