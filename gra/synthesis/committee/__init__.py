"""The committee: its roles, the protocol of one sample, the gate and the health of its reviews."""
