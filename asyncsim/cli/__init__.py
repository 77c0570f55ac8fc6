"""The command ``asyncsim``: thin, calls the same public functions as a notebook."""
