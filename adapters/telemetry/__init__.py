"""Logs and metrics: they observe through hooks; the core never logs."""
