"""Writes a data folder in the formats that other trainers read. Command: gra export --help"""
