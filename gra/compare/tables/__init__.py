"""Lays a comparison out: rows, columns, notes and cautions, as terminal text, Markdown, CSV and LaTeX."""
