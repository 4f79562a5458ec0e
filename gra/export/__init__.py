"""Writes a data folder in the forms that other trainers read. Command: gra export --help"""
