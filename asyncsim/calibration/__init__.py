"""From a log to a scenario, with an account of what the log does not explain."""
