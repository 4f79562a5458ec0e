"""Refines an existing data set: models answer its instructions or rewrite its responses, and the committee judges them."""
