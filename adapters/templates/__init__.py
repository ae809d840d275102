"""Workspaces to begin with, one folder each; `nextbeat init` copies them."""
