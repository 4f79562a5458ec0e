"""PURE: reads models' replies: the usable part for each step, or the fault."""
