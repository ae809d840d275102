"""The demonstration: one day of a shop, played through the real gateway with a real library."""
