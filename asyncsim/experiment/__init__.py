"""Output analysis: how many replications, from when on, how sure."""
