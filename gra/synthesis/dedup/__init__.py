"""Drops near-duplicate samples: embeddings from child processes, cosine similarity, the target pool."""
