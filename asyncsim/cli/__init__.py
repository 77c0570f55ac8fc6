"""The command ``asyncsim``: thin, calls the same functions as a notebook; begin with `commands`."""
