"""Stage 1: a committee of small language models turns seeds into instruction data. Command: gra synthesize --help"""
