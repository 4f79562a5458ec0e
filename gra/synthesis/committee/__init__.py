"""The committee: the roles of the models, the protocol of one sample, the gate, and statistics on the reviews."""
