"""Theory against simulation: the command `asyncsim verify`. Begin with `verify`."""
