"""What live traits rest on: small structs that take one event at a time, and can be united."""
