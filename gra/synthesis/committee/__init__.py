"""The committee's parts: what it is shown, how it judges, how it is qualified."""
