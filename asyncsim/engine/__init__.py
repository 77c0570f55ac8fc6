"""Engines: deterministic functions of scenario, strategy and draws."""
