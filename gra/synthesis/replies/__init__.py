"""PURE: reads the replies of models. For each step of a sample, it returns the usable part of the reply or says what is
wrong with it."""
