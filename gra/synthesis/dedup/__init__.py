"""Drops samples that are nearly the same as a sample kept before, by the cosine similarity of their embeddings."""
