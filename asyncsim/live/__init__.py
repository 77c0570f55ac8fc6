"""A scenario that runs on a clock, with people and programs finishing its steps."""
