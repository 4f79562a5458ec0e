"""STAGE 3: a model folder -> a scores folder (lm-eval). Command: python -m eval --help"""
