"""Runs as files that process-mining tools read: CSV, Parquet, XES and OCEL.

See `asyncsim.eventlog.write`.
"""
