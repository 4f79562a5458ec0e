"""GRA: a committee of small language models writes instruction data (arXiv 2504.12322). Start with `gra --help`."""

__version__ = "0.1.0"
