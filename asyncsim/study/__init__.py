"""Studies: strategies compared, theory held against simulation."""
