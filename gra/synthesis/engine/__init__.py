"""Runs the committee's protocols: makes their calls to the models, records every call in a journal, and can divide a
round among several jobs (shards)."""
