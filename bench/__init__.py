"""Measurements with the limit each is compared with taken in the same run: `python -m bench`."""
