"""Weight files that are fetched by `gra fetch models`: what they are, where they come from, where they lie."""
