"""The paper's published numbers: read as data, set beside runs, and its claims judged by a written rule."""
