"""The hooks of all providers by name, and those of them that the environment configures.

Called by the composition root; `adapters.gateway.hooks` mounts what comes out. A provider whose
variables are not all set has no hook: a request that can't be told from a forged one is refused.
"""

from collections.abc import Mapping

from adapters.channels import (
    africastalking,
    mailgun,
    messagebird,
    postmark,
    sendgrid,
    ses,
    twilio_hooks,
    vonage_hooks,
    whatsapp_cloud,
)
from adapters.channels.hooks import Hook, HookKind
from engine.errors import Problem, ProgramError

HOOKS: Mapping[str, HookKind] = {
    "africastalking": africastalking.HOOK,
    "mailgun": mailgun.HOOK,
    "messagebird": messagebird.HOOK,
    "postmark": postmark.HOOK,
    "sendgrid": sendgrid.HOOK,
    "ses": ses.HOOK,
    "twilio": twilio_hooks.HOOK,
    "vonage": vonage_hooks.HOOK,
    "whatsapp_cloud": whatsapp_cloud.HOOK,
}


def build_hooks(environment: Mapping[str, str]) -> dict[str, Hook]:
    """Make the hooks whose variables are set. Raises ProgramError with what can't be right."""
    built: dict[str, Hook] = {}
    problems: list[Problem] = []
    for name, kind in HOOKS.items():
        if all(environment.get(variable) for variable in kind.variables):
            try:
                built[name] = kind.make(environment)
            except ValueError as error:
                problems.append(Problem(", ".join(kind.variables), str(error)))
    if problems:
        raise ProgramError(problems)
    return built
