"""Shows the progress of a run: its state, the terminal and status.json."""
