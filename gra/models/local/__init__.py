"""Runs models without HTTP, in this process or in a worker process."""
