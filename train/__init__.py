"""STAGE 2: a data folder -> a model folder (TRL, PEFT). Command: python -m train --help"""
