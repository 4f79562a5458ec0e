"""Reads the answer out of a reply and judges it against the item. PURE except for the sandbox and math-verify."""
