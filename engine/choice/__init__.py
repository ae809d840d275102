"""Which channel carries a message, and with what content."""
