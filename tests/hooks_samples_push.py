"""Genuine requests of WhatsApp's webhooks, signed as Meta signs them."""

import hmac
import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from adapters.channels.hooks import HookRequest

ENVIRONMENT = {
    "NEXTBEAT_WHATSAPP_APP_SECRET": "5ce1b3f2a0d94c7e8b6f",
    "NEXTBEAT_WHATSAPP_VERIFY_TOKEN": "agreed-on",
}
URL = "https://nextbeat.example.com/v1/receipts/whatsapp_cloud"
WAMID = "wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI3"


def tell(**value: Any) -> HookRequest:
    """Tell something, as the API does."""
    named = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": "106540352242922"},
        **value,
    }
    change = {"value": named, "field": "messages"}
    told = {
        "object": "whatsapp_business_account",
        "entry": [{"id": "102290129340398", "changes": [change]}],
    }
    return sign_whatsapp(json.dumps(told).encode())


def sign_whatsapp(body: bytes) -> HookRequest:
    """Sign a body with the app's secret."""
    secret = ENVIRONMENT["NEXTBEAT_WHATSAPP_APP_SECRET"].encode()
    headers = {
        "content-type": "application/json",
        "x-hub-signature-256": "sha256=" + hmac.new(secret, body, sha256).hexdigest(),
    }
    return HookRequest("POST", URL, headers, {}, body)


def become(status: str, **more: Any) -> HookRequest:
    """Tell what became of a message."""
    told = {
        "id": WAMID,
        "status": status,
        "timestamp": "1772428320",
        "recipient_id": "351912345678",
        "recipient_user_id": "PT.13491208655302741918",
        "biz_opaque_callback_data": "m_0123456789abcdef01234567",
        **more,
    }
    return tell(statuses=[told])


def say(**message: Any) -> HookRequest:
    """Tell what somebody wrote."""
    said = {
        "from": "351912345678",
        "from_user_id": "PT.13491208655302741918",
        "id": "wamid.IN1",
        "timestamp": "1772428320",
        **message,
    }
    contact = {"profile": {"name": "Zoë"}, "wa_id": "351912345678"}
    return tell(contacts=[contact], messages=[said])


def challenge(token: str = "agreed-on") -> HookRequest:
    """Ask whether the address is ours."""
    query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "1158201444"}
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return HookRequest("GET", f"{URL}?{asked}", {}, query, b"")


def failed() -> HookRequest:
    """Tell that a message was not delivered."""
    error = {
        "code": 131026,
        "title": "Message undeliverable",
        "message": "Message undeliverable",
        "error_data": {"details": "Message Undeliverable."},
    }
    return become("failed", errors=[error])


def pricing() -> HookRequest:
    """Tell that a message arrived, and what it costs."""
    return become(
        "delivered",
        pricing={"billable": True, "pricing_model": "PMP", "type": "regular"},
    )


SAMPLES: dict[str, list[Callable[[], HookRequest]]] = {
    "whatsapp_cloud": [
        lambda: become("sent"),
        pricing,
        lambda: become("read"),
        failed,
        lambda: say(type="text", text={"body": "STOP"}),
        lambda: say(
            type="interactive",
            interactive={"type": "button_reply", "button_reply": {"id": "y", "title": "Yes"}},
            context={"from": "15550783881", "id": WAMID},
        ),
    ]
}
