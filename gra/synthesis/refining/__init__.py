"""Refines an existing data set: models answer or rewrite its responses, and the committee judges them."""
