"""Measurements, each with the limit it is compared with taken in the same run: `python -m bench`."""
