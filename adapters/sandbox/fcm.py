"""The stand-in of Firebase Cloud Messaging: Google's token endpoint, and `messages:send` of v1.

Formats are those of firebase.google.com/docs/reference/fcm/rest/v1 (`ErrorCode`), and of
developers.google.com/identity/protocols/oauth2/service-account for the tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jwt
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from adapters.sandbox.book import Draft, Message
from adapters.sandbox.fates import Fate, Stage
from adapters.sandbox.standin import Accounts, Answer, Callback, Take, json_answer

PREFIX = "/fcm"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_TOKEN = "ya29."  # noqa: S105 - what all of Google's tokens begin with
_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"

_Fault = tuple[int, str, str, str]  # status of HTTP, its name, words, FCM's own code
_UNAUTHORIZED: _Fault = (
    401,
    "UNAUTHENTICATED",
    (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
        "cookie or other valid authentication credential."
    ),
    "",
)
_NO_TOKEN: _Fault = (
    400,
    "INVALID_ARGUMENT",
    "The registration token is not a valid FCM registration token",
    "INVALID_ARGUMENT",
)
_REFUSALS: Mapping[Fate, _Fault] = {
    Fate.GONE: (404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED"),
    Fate.OPTED_OUT: (404, "NOT_FOUND", "Requested entity was not found.", "UNREGISTERED"),
    Fate.INVALID: _NO_TOKEN,
    Fate.RATE: (429, "RESOURCE_EXHAUSTED", "Quota exceeded", "QUOTA_EXCEEDED"),
    Fate.BROKEN: (500, "INTERNAL", "Internal error encountered.", "INTERNAL"),
    Fate.DOWN: (503, "UNAVAILABLE", "The service is currently unavailable.", "UNAVAILABLE"),
}


class FcmStandIn:
    """Firebase Cloud Messaging, and the one endpoint of Google that gives out tokens for it."""

    name = "fcm"

    def __init__(self, accounts: Accounts) -> None:
        account = msgspec.json.decode(accounts["NEXTBEAT_FCM_CREDENTIALS"], type=dict[str, str])
        self._project = account["project_id"]
        self._email = account["client_email"]
        public = load_pem_private_key(account["private_key"].encode(), None).public_key()
        assert isinstance(public, RSAPublicKey)
        self._public = public
        self._tokens = 0

    def routes(self, take: Take) -> list[web.RouteDef]:
        """List the routes."""
        send = f"{PREFIX}/v1/projects/{{project}}/messages:send"
        return [web.post(f"{PREFIX}/token", self._give_token), web.post(send, take)]

    async def read(self, request: web.Request) -> Draft | web.Response:
        """Read a message."""
        header = request.headers.get("Authorization", "")
        if not header.startswith(f"Bearer {_TOKEN}"):
            return _explain(_UNAUTHORIZED)
        if request.match_info["project"] != self._project:
            return _explain((403, "PERMISSION_DENIED", "SenderId mismatch", "SENDER_ID_MISMATCH"))
        try:
            body = msgspec.json.decode(await request.read(), type=dict[str, dict[str, Any]])
        except msgspec.DecodeError:
            return _explain((400, "INVALID_ARGUMENT", "Invalid JSON payload received.", ""))
        message = body.get("message", {})
        token = message.get("token")
        if not isinstance(token, str) or not token:
            return _explain(_NO_TOKEN)
        shown: Mapping[str, Any] = message.get("notification") or message.get("data") or {}
        return Draft(
            provider=self.name,
            channel="push",
            to=token,
            text=" · ".join(str(shown[name]) for name in ("title", "body") if shown.get(name)),
            fields={"message": msgspec.json.encode(message).decode()},
        )

    def refuse(self, draft: Draft, fate: Fate) -> web.Response | None:  # noqa: ARG002 - as all
        """Refuse as the API does."""
        fault = _REFUSALS.get(fate)
        return None if fault is None else _explain(fault)

    def accept(self, message: Message) -> web.Response:
        """Say that a message was taken."""
        return json_answer({"name": f"projects/{self._project}/messages/0:{message.id}"})

    def tell(self, message: Message, stage: Stage, now: int) -> Sequence[Callback]:  # noqa: ARG002 - as all have it
        """Tell nothing: the app does."""
        return ()

    def forward(self, answer: Answer, now: int) -> Callback | None:  # noqa: ARG002 - as all have it
        """Nobody can answer."""
        return None

    async def _give_token(self, request: web.Request) -> web.Response:
        """Give a token for a signed claim of the service account."""
        form = await request.post()
        if form.get("grant_type") != _GRANT:
            return json_answer({"error": "unsupported_grant_type"}, 400)
        try:
            claims = jwt.decode(
                str(form.get("assertion", "")),
                self._public,
                algorithms=["RS256"],
                options={"verify_aud": False},
            )
        except jwt.InvalidTokenError:
            refused = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return json_answer(refused, 400)
        if claims.get("iss") != self._email:
            refused = {"error": "invalid_grant", "error_description": "Invalid issuer."}
            return json_answer(refused, 400)
        self._tokens += 1
        token = f"{_TOKEN}sandbox-{self._tokens}"
        return json_answer({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})


def _explain(fault: _Fault) -> web.Response:
    status, name, text, code = fault
    error: dict[str, Any] = {"code": status, "message": text, "status": name}
    if code:
        error["details"] = [{"@type": _ERROR, "errorCode": code}]
    headers = {"Retry-After": "1"} if code == "QUOTA_EXCEEDED" else None
    return json_answer({"error": error}, status, headers)
