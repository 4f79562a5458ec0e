"""Qualifies a committee on answers known to be right or wrong, before a run is paid for. Command: gra probe --help"""
