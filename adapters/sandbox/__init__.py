"""Local stand-ins for providers, over real HTTP and SMTP, to try things out and to test."""
