"""Blind reading: `gra blind draw` makes a sheet of samples without arm names, `gra blind rates` turns its labels into rates."""
