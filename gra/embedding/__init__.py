"""Sentence embeddings for deduplication and maps of data: unit vectors from child processes, cached between runs."""
