"""Makes the HTML report of any folders: a comparison, or a lone data, model or scores folder. `gra report DIR ...`."""
