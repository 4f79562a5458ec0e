"""Loads one model at a time; the models take turns. Calls to a model wait until the model is loaded."""
