"""The committee of models: which model has which role, which calls make one sample, how the gate decides on it, and
statistics on the reviews."""
