"""Picks a part of existing data sets: at random, by length, or as much as a budget of tokens buys."""
