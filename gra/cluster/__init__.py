"""Runs experiments as Slurm jobs: `gra submit`, `gra status`, `gra cancel`, and what runs inside a job."""
