"""The accounts of the sandbox: what the channels read from the environment to reach the stand-ins.

`nextbeat sandbox` prints it, `adapters.sandbox.server` checks requests and signs callbacks by it.
Where the environment says something already, that is taken: so a secret is shared by setting it.
"""

import shlex
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from adapters.sandbox import (
    africastalking,
    fcm,
    messagebird,
    twilio,
    vonage,
    webhooks,
    whatsapp,
)

HOST = "127.0.0.1"
PUBLIC_URL = "NEXTBEAT_PUBLIC_URL"
# Where the stand-ins are, and what would lead elsewhere or has no business here.
_OURS = (
    "_URL",
    "_SMTP_HOST",
    "_SMTP_PORT",
    "_SMTP_TLS",
    "_FCM_CREDENTIALS",
    "_PRIVATE_KEY",
    "_APNS_KEY",
)
_RSA_BITS = 2_048
_RSA_FILE, _EC_FILE = "rsa.pem", "ec.pem"

# Nothing here guards anything: the stand-ins listen on this machine, and send to nobody.
_FIXED: Mapping[str, str] = {
    "NEXTBEAT_TWILIO_ACCOUNT_SID": "AC00000000000000000000000000000000",
    "NEXTBEAT_TWILIO_AUTH_TOKEN": "sandbox",
    "NEXTBEAT_TWILIO_FROM": "+15005550006",
    "NEXTBEAT_VONAGE_API_KEY": "sandbox",
    "NEXTBEAT_VONAGE_API_SECRET": "sandbox",
    "NEXTBEAT_VONAGE_APPLICATION_ID": "00000000-0000-4000-8000-000000000000",
    "NEXTBEAT_VONAGE_SIGNATURE_SECRET": "sandbox-signature-secret-of-32-bytes-or-more",
    "NEXTBEAT_VONAGE_FROM": "15005550006",
    "NEXTBEAT_MESSAGEBIRD_ACCESS_KEY": "sandbox",
    "NEXTBEAT_MESSAGEBIRD_SIGNING_KEY": "sandbox-signing-key-of-32-bytes-or-more",
    "NEXTBEAT_MESSAGEBIRD_FROM": "15005550006",
    "NEXTBEAT_AFRICASTALKING_USERNAME": "sandbox",
    "NEXTBEAT_AFRICASTALKING_API_KEY": "sandbox",
    "NEXTBEAT_AFRICASTALKING_KEY": "sandbox-key-of-16-characters-or-more",
    "NEXTBEAT_AFRICASTALKING_FROM": "SANDBOX",
    "NEXTBEAT_USSD_KEY": "sandbox-key-of-16-characters-or-more",
    "NEXTBEAT_WHATSAPP_TOKEN": "sandbox",
    "NEXTBEAT_WHATSAPP_PHONE_ID": "106540352242922",
    "NEXTBEAT_WHATSAPP_APP_SECRET": "sandbox",
    "NEXTBEAT_WHATSAPP_VERIFY_TOKEN": "sandbox",
    "NEXTBEAT_APNS_KEY_ID": "SANDBOX001",
    "NEXTBEAT_APNS_TEAM_ID": "SANDBOX002",
    "NEXTBEAT_APNS_TOPIC": "com.example.app",
    "NEXTBEAT_WEBPUSH_SUBJECT": "mailto:sandbox@example.com",
    "NEXTBEAT_WEBHOOK_SECRET": "whsec_" + b64encode(b"sandbox sandbox sandbox sandbox").decode(),
    "NEXTBEAT_SMTP_HOST": HOST,
    "NEXTBEAT_SMTP_TLS": "none",
    "NEXTBEAT_SMTP_FROM": "sandbox@example.com",
}


class Keys(msgspec.Struct, frozen=True):
    """The private keys that channels sign with, as PEM."""

    rsa: str
    ec: str


def open_keys(folder: Path) -> Keys:
    """Read the keys of an earlier sandbox, or make them: they are the same in every process."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Keys(_open(folder / _RSA_FILE), _open(folder / _EC_FILE))


def list_accounts(url: str, apns_port: int, mail_port: int, keys: Keys) -> dict[str, str]:
    """List the variables, with the addresses of the stand-ins: most are at `url`."""
    return {
        "NEXTBEAT_TWILIO_URL": url + twilio.PREFIX,
        "NEXTBEAT_VONAGE_URL": url + vonage.PREFIX,
        "NEXTBEAT_MESSAGEBIRD_URL": url + messagebird.PREFIX,
        "NEXTBEAT_AFRICASTALKING_URL": url + africastalking.PREFIX,
        "NEXTBEAT_WHATSAPP_URL": url + whatsapp.PREFIX,
        "NEXTBEAT_FCM_URL": url + fcm.PREFIX,
        "NEXTBEAT_APNS_URL": f"http://{HOST}:{apns_port}",
        "NEXTBEAT_APPRISE_URL": f"json{url.removeprefix('http')}{webhooks.APPRISE}/sandbox",
        "NEXTBEAT_WEBHOOK_URL": f"{url}{webhooks.PREFIX}/sandbox",
        **_FIXED,
        "NEXTBEAT_SMTP_PORT": str(mail_port),
        "NEXTBEAT_VONAGE_PRIVATE_KEY": keys.rsa,
        "NEXTBEAT_FCM_CREDENTIALS": _service_account(url, keys.rsa),
        "NEXTBEAT_APNS_KEY": keys.ec,
        "NEXTBEAT_WEBPUSH_PRIVATE_KEY": _vapid_key(keys.ec),
    }


def merge_accounts(accounts: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Prefer what the environment says already, save for addresses and private keys."""
    return {
        name: value if name.endswith(_OURS) else environ.get(name) or value
        for name, value in accounts.items()
    }


def write_exports(accounts: Mapping[str, str]) -> str:
    """Write the variables as lines for a shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in accounts.items())


def _open(path: Path) -> str:
    if not path.exists():
        is_rsa = path.name == _RSA_FILE
        key = (
            rsa.generate_private_key(public_exponent=65_537, key_size=_RSA_BITS)
            if is_rsa
            else ec.generate_private_key(ec.SECP256R1())
        )
        text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.touch(mode=0o600)
        path.write_bytes(text)
    return path.read_text("ascii")


def _service_account(url: str, key: str) -> str:
    """Write the file Google gives out for a service account."""
    account = {
        "type": "service_account",
        "project_id": "sandbox",
        "private_key_id": "sandbox",
        "private_key": key,
        "client_email": "sandbox@sandbox.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{url}{fcm.PREFIX}/token",
    }
    return msgspec.json.encode(account).decode()


def _vapid_key(pem: str) -> str:
    """Write a key as VAPID tools do: the bare number."""
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32)
    return urlsafe_b64encode(number).rstrip(b"=").decode()
