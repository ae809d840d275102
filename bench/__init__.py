"""Measurements, each beside the limit it is compared with: `python -m bench`."""
