"""Widgets for notebooks: thin views over state that can be used without them."""
