"""Workspaces and event files read from disk."""
