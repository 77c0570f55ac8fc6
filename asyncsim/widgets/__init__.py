"""Widgets for notebooks: thin views over state that needs no browser."""
