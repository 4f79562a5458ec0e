"""STAGE 1: seeds -> instruction data, by a committee of small language models. Command: python -m gra.synthesis --help"""
