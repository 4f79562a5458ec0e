"""Steps, fingerprints, the run store, and the executor that works through an experiment's steps on this computer."""
