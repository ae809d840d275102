"""Live traits: what is known of a customer at this moment, read from measures."""
