"""Stage 3: evaluates a model with lm-eval and writes a scores folder. Command: gra eval --help"""
