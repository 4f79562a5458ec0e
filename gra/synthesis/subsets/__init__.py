"""Chooses a part of existing data sets: at random, by length, or as many samples as a number of tokens would pay
for."""
