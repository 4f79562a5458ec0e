"""Tests a committee on answers that are known to be right or wrong, before a run is paid for. Command: gra probe --help"""
