"""Downloads, verifies and caches the weight files of `gra fetch models`."""
