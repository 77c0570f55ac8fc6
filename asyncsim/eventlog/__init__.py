"""Runs as files for process-mining tools: CSV, Parquet, XES and OCEL; begin with `write`."""
