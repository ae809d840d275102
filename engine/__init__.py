"""The decisioning core: what the machine knows and how it decides. No clock, no dice, no I/O."""
