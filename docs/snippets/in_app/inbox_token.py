"""The token by which a customer's app opens that customer's inbox."""

import hmac
from base64 import urlsafe_b64encode
from hashlib import sha256


def inbox_token(secret: str, customer: str) -> str:
    """Make what a customer's app shows; `secret` is NEXTBEAT_SECRET, and stays on the backend."""
    key = hmac.digest(secret.encode(), b"nextbeat inbox", sha256)
    return urlsafe_b64encode(hmac.digest(key, customer.encode(), sha256)).rstrip(b"=").decode()
