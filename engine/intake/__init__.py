"""From what a client sent to one clean event, and from identities to one customer."""
