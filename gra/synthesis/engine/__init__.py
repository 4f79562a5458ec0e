"""Runs the committee's protocols against the models: the scheduler, the journal of calls, and the shards of a round."""
