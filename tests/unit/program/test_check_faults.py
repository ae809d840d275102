"""Every kind of fault a workspace can have, each with its file, line, path and hint.

In each case the faulty line is marked with `#!`.
"""

import pytest

from adapters.files.yaml12 import read_yaml
from engine.errors import Problem, ProgramError
from engine.program.compile import compile_source

FILE = "shop/workspace.yaml"
SOUND = {
    "workspace": "workspace: shop",
    "channels": """
channels:
  email: {adapter: log, identity: email}
  sms: {adapter: log, identity: phone}
""",
    "message_types": """
message_types:
  promotional: {purpose: marketing, channels: [email]}
""",
    "messages": """
messages:
  hello: {type: promotional, content: {email: {body: hi}}}
""",
    "segments": """
segments:
  vip: profile.tier == "vip"
""",
    "journeys": """
journeys:
  greeting:
    trigger: {event: Signed Up}
    steps: [{send: hello}]
""",
}


def write(sections: dict[str, str]) -> str:
    return "\n".join(part.strip("\n") for part in {**SOUND, **sections}.values())


def find_faults(text: str) -> list[Problem]:
    document = read_yaml(text, FILE)
    assert document.readable, document.problems
    try:
        compile_source(document.value, document.places)
    except ProgramError as error:
        return [*document.problems, *error.problems]
    return document.problems


def steps(text: str) -> dict[str, str]:
    lines = "\n".join(f"      {line}" for line in text.strip("\n").splitlines())
    head = "journeys:\n  greeting:\n    trigger: {event: Signed Up}\n    steps:\n"
    return {"journeys": head + lines}


Case = tuple[dict[str, str], str, str, str]

SHAPE: dict[str, Case] = {
    "an unknown top-level key": (
        {"extra": "journey: {} #!"},
        "journey",
        "unknown key 'journey'",
        "did you mean 'journeys'?",
    ),
    "an unknown key, in a place of its own": (
        {"channels": "channels:\n  email:\n    adapter: log\n    identiti: email #!\n"
         "  sms: {adapter: log}"},
        "channels.email.identiti",
        "unknown key 'identiti'",
        "did you mean 'identity'?",
    ),
    "a key like nothing that is known": (
        {"defaults": "defaults: {zzz: 1} #!"},
        "defaults.zzz",
        "unknown key 'zzz'",
        "known keys: country, currency, locale, timezone",
    ),
    "text where a mapping is wanted": (
        {"policies": "policies: strict #!"},
        "policies",
        "expected a mapping, found the text 'strict'",
        "",
    ),
    "text where a list is wanted": (
        {"message_types": "message_types:\n  promotional:\n    purpose: marketing\n"
         "    channels: email #!"},
        "message_types.promotional.channels",
        "expected a list, found the text 'email'",
        "write it as a list: [email]",
    ),
    "a number where text is wanted": (
        {"defaults": "defaults: {locale: 44} #!"},
        "defaults.locale",
        "expected text, found the number 44",
        'quote it: "44"',
    ),
    "a truth where text is wanted": (
        {"defaults": "defaults: {country: true} #!"},
        "defaults.country",
        "expected text, found true",
        'quote it: "true"',
    ),
    "nothing where text is wanted": (
        {"workspace": "workspace: #!"},
        "workspace",
        "expected text, found nothing",
        "",
    ),
    "an empty text": (
        {"workspace": 'workspace: " " #!'},
        "workspace",
        "is empty",
        "leave the key out",
    ),
    "text where a whole number is wanted": (
        {"seed": "seed: seven #!"},
        "seed",
        "expected a whole number, found the text 'seven'",
        "",
    ),
    "a broken number where a whole one is wanted": (
        {"seed": "seed: 7.5 #!"},
        "seed",
        "expected a whole number, found the number 7.5",
        "",
    ),
    "a number out of range": (
        {"policies": "policies:\n  backoff: {gap: 2h, from: 1.5} #!"},
        "policies.backoff.from",
        "1.5 is out of range",
        "it must be at most 1",
    ),
    "a negative cost": (
        {"channels": "channels:\n  sms: {adapter: log}\n  email: {adapter: log, cost: -1} #!"},
        "channels.email.cost",
        "-1 is out of range",
        "it must be at least 0",
    ),
    "text where a truth is wanted": (
        {"message_types": "message_types:\n  promotional:\n    purpose: marketing\n"
         "    channels: [email]\n    counts: no #!"},
        "message_types.promotional.counts",
        "expected true or false, found the text 'no'",
        "",
    ),
    "a word that is not one of the choices": (
        {"message_types": "message_types:\n  promotional:\n    purpose: marketing\n"
         "    channels: [email]\n    ignores: [windows] #!"},
        "message_types.promotional.ignores[0]",
        "'windows' is not one of",
        "did you mean 'window'?",
    ),
    "a mode of consent that does not exist": (
        {"consent": "consent: {marketing: optout} #!"},
        "consent.marketing",
        "'optout' is not one of opt_in, opt_out",
        "did you mean 'opt_out'?",
    ),
    "a missing key": (
        {"message_types": "message_types:\n  promotional: #!\n    channels: [email]"},
        "message_types.promotional.purpose",
        "'purpose' is missing",
        "What a message is for",
    ),
    "a missing list of steps": (
        {"journeys": "journeys:\n  greeting: #!\n    trigger: {event: Signed Up}"},
        "journeys.greeting.steps",
        "'steps' is missing",
        "a list",
    ),
    "an empty list": (
        {"journeys": "journeys:\n  greeting:\n    trigger: {event: A}\n    steps: [] #!"},
        "journeys.greeting.steps",
        "is empty",
        "at least 1 is needed",
    ),
    "a name with a slash": (
        {"segments": 'segments:\n  "a/b": "true" #!'},
        "segments.a/b",
        "'a/b' can't be a name",
        "without '/'",
    ),
    "a value that could be several things and is none": (
        steps("- wait: 5 #!"),
        "journeys.greeting.steps[0].wait",
        "expected text or a mapping with until, found the number 5",
        'quote it: "5"',
    ),
}

UNAVAILABLE: dict[str, Case] = {
    "holidays": (
        {"policies": "policies:\n  holidays: {calendar: customer} #!"},
        "policies.holidays",
        "'holidays' is not available in this version",
        "leave it out",
    ),
    "regions": (
        {"policies": "policies:\n  regions: [ZA] #!"},
        "policies.regions",
        "'regions' is not available in this version",
        "leave it out",
    ),
    "follow_up": (
        {"message_types": "message_types:\n  promotional:\n    purpose: marketing\n"
         "    channels: [email]\n    follow_up: sms #!"},
        "message_types.promotional.follow_up",
        "'follow_up' is not available in this version",
        "leave it out",
    ),
    **{
        f"a {kind} trigger": (
            {"journeys": f"journeys:\n  greeting:\n    trigger: {{event: A, {kind}: x}} #!\n"
             "    steps: [{send: hello}]"},
            f"journeys.greeting.trigger.{kind}",
            f"'{kind}' is not available in this version",
            "leave it out",
        )
        for kind in ("segment", "schedule", "date", "score")
    },
    **{
        f"a {kind} step": (
            steps(f"- send: hello\n- {kind}: x #!"),
            f"journeys.greeting.steps[1].{kind}",
            f"'{kind}' is not available in this version",
            "leave it out",
        )
        for kind in ("switch", "split", "decide", "emit", "webhook")
    },
}

NAMES: dict[str, Case] = {
    "an adapter of another version": (
        {"channels": "channels:\n  sms: {adapter: log}\n  email: {adapter: twilio} #!"},
        "channels.email.adapter",
        "unknown adapter 'twilio': this version has log, smtp, webhook, inbox",
        "leave the channel out",
    ),
    "a misspelt adapter": (
        {"channels": "channels:\n  sms: {adapter: log}\n  email: {adapter: stmp} #!"},
        "channels.email.adapter",
        "unknown adapter 'stmp'",
        "did you mean 'smtp'?",
    ),
    "a channel named like the default content": (
        {"channels": "channels:\n  email: {adapter: log}\n  default: {adapter: log} #!"},
        "channels.default",
        "no channel can be named 'default'",
        "choose another name",
    ),
    "mail without an address": (
        {"channels": "channels:\n  email: {adapter: smtp} #!"},
        "channels.email.identity",
        "smtp needs an address",
        "write `identity: email`",
    ),
    "an unknown substitute": (
        {"channels": "channels:\n  email:\n    adapter: log\n    substitute: in_ap #!\n"
         "  in_app: {adapter: inbox}"},
        "channels.email.substitute",
        "unknown channel 'in_ap'",
        "did you mean 'in_app'?",
    ),
    "a channel that replaces itself": (
        {"channels": "channels:\n  email: {adapter: log, substitute: email} #!"},
        "channels.email.substitute",
        "a channel can't replace itself",
        "name another channel",
    ),
    "substitutes in a circle": (
        {"channels": "channels:\n  email: {adapter: log, substitute: a}\n"
         "  a: {adapter: log, substitute: b}\n  b: {adapter: log, substitute: a} #!"},
        "channels.b.substitute",
        "substitutes go in a circle: a → b → a",
        "leave one of them without a substitute",
    ),
    "a secret in a file": (
        {"channels": "channels:\n  email:\n    adapter: log\n    settings:\n"
         "      auth: {password: hunter2} #!"},
        "channels.email.settings.auth.password",
        "a secret does not belong in a file",
        "write {env: PASSWORD}",
    ),
    "a reference to the environment with more in it": (
        {"channels": "channels:\n  email:\n    adapter: log\n    settings:\n"
         "      host: {env: HOST, or: localhost} #!"},
        "channels.email.settings.host.env",
        "a reference to the environment is {env: NAME}",
        "like {env: SMTP_PASSWORD}",
    ),
    "an unknown channel of a type": (
        {"message_types": "message_types:\n  promotional:\n    purpose: marketing\n"
         "    channels: [emial] #!"},
        "message_types.promotional.channels[0]",
        "unknown channel 'emial'",
        "did you mean 'email'?",
    ),
    "a channel named twice": (
        {"message_types": "message_types:\n  promotional:\n    purpose: marketing\n"
         "    channels: [email, email] #!"},
        "message_types.promotional.channels[1]",
        "'email' is named twice",
        "once is enough",
    ),
    "a capability that no channel has": (
        {"message_types": "message_types:\n  promotional:\n    purpose: marketing\n"
         "    channels: [email]\n    requires: [rich] #!"},
        "message_types.promotional.requires[0]",
        "none of its channels supports 'rich'",
        "supports",
    ),
    "an unknown zone": (
        {"defaults": "defaults: {timezone: Africa/Johanesburg} #!"},
        "defaults.timezone",
        "unknown time zone 'Africa/Johanesburg'",
        "Africa/Johannesburg",
    ),
    "a fixed offset for a zone": (
        {"defaults": "defaults: {timezone: GMT+2} #!"},
        "defaults.timezone",
        "unknown time zone 'GMT+2'",
        "IANA",
    ),
    "an unknown country": (
        {"defaults": "defaults: {country: za} #!"},
        "defaults.country",
        "unknown country 'za'",
        "did you mean 'ZA'?",
    ),
    "consent in an unknown country": (
        {"consent": "consent:\n  marketing:\n    default: opt_in\n    South Africa: opt_out #!"},
        "consent.marketing.South Africa",
        "unknown country 'South Africa'",
        "write two capital letters, like ZA",
    ),
    "consent for an unknown purpose": (
        {"consent": "consent: {markting: opt_out} #!"},
        "consent.markting",
        "no message type has the purpose 'markting'",
        "did you mean 'marketing'?",
    ),
    "consent for service messages": (
        {"consent": "consent: {service: opt_in} #!"},
        "consent.service",
        "service messages never need a grant",
        "another purpose",
    ),
    "an unknown channel of a shared cap": (
        {"policies": "policies:\n  caps:\n    - limit: 2 / 24h\n      channels: [email, smss] #!"},
        "policies.caps[0].channels[1]",
        "unknown channel 'smss'",
        "did you mean 'sms'?",
    ),
    "an unknown purpose of a cooldown": (
        {"policies": "policies:\n  cooldown: {gap: 1h, purposes: [sale]} #!"},
        "policies.cooldown.purposes[0]",
        "no message type has the purpose 'sale'",
        "purposes: marketing, service",
    ),
    "two suppressions of one name": (
        {"policies": "policies:\n  suppress:\n    - {name: a, after: X, for: 1h}\n"
         "    - {name: a, after: Y, for: 1h} #!"},
        "policies.suppress[1].name",
        "two suppressions are named 'a'",
        "two names",
    ),
    "an unknown type": (
        {"messages": "messages:\n  hello: {type: promo, content: {email: {body: x}}} #!"},
        "messages.hello.type",
        "unknown message type 'promo'",
        "did you mean 'promotional'?",
    ),
    "content for an unknown channel": (
        {"messages": "messages:\n  hello:\n    type: promotional\n    content:\n"
         "      email: {body: x}\n      push: {body: x} #!"},
        "messages.hello.content.push",
        "unknown channel 'push'",
        "channels: email, sms",
    ),
    "content for none of the type's channels": (
        {"messages": "messages:\n  hello:\n    type: promotional\n    content: #!\n"
         "      sms: {body: x}"},
        "messages.hello.content",
        "there is no content for any channel of its type: email",
        "add 'email' or 'default'",
    ),
    "empty content": (
        {"messages": "messages:\n  hello:\n    type: promotional\n    content:\n"
         "      email: {} #!"},
        "messages.hello.content.email",
        "this content is empty",
        "give it a body",
    ),
    "a file where there is no folder": (
        {"messages": "messages:\n  hello:\n    type: promotional\n    content:\n"
         "      email: {body: {file: a.liquid}} #!"},
        "messages.hello.content.email.body",
        "a text in a file needs the workspace's folder",
        "load the workspace from its folder",
    ),
    "an unknown message": (
        steps("- send: helo #!"),
        "journeys.greeting.steps[0].send",
        "unknown message 'helo'",
        "did you mean 'hello'?",
    ),
    "an unknown journey": (
        steps("- start: greting #!"),
        "journeys.greeting.steps[0].start",
        "unknown journey 'greting'",
        "did you mean 'greeting'?",
    ),
    "an unknown segment in a wait": (
        steps("- wait_for: {segment: vipp} #!"),
        "journeys.greeting.steps[0].wait_for.segment",
        "unknown segment 'vipp'",
        "did you mean 'vip'?",
    ),
    "an unknown segment in a condition": (
        steps("- if: 'in_segment(\"vipp\")' #!\n  then: [{send: hello}]"),
        "journeys.greeting.steps[0].if",
        "unknown segment 'vipp'",
        "did you mean 'vip'?",
    ),
    "a segment that rests on itself": (
        {"segments": "segments:\n  a: 'in_segment(\"a\")' #!"},
        "segments.a",
        "this segment rests on itself: a → a",
        "write out",
    ),
    "a pinned channel that does not exist": (
        steps("- send: hello\n  channel: emial #!"),
        "journeys.greeting.steps[0].channel",
        "unknown channel 'emial'",
        "did you mean 'email'?",
    ),
    "a pinned channel without content": (
        steps("- send: hello\n  channel: sms #!"),
        "journeys.greeting.steps[0].channel",
        "message 'hello' has no content for 'sms'",
        "it has content for: email",
    ),
}

FLOW: dict[str, Case] = {
    "a step that does nothing": (
        steps("- id: idle #!"),
        "journeys.greeting.steps[0]",
        "this step does nothing",
        "give it one of send, wait",
    ),
    "a step that does two things": (
        steps("- send: hello\n  wait: 1h #!"),
        "journeys.greeting.steps[0].wait",
        "one step can't send and wait",
        "make it two steps",
    ),
    "a channel without a message": (
        steps("- wait: 1h\n  channel: email #!"),
        "journeys.greeting.steps[0].channel",
        "'channel' belongs to send",
        "",
    ),
    "a branch without a question": (
        steps("- send: hello\n  then: [{exit: done}] #!"),
        "journeys.greeting.steps[0].then",
        "'then' belongs to if or wait_for",
        "",
    ),
    "a question without branches": (
        steps("- if: profile.active #!"),
        "journeys.greeting.steps[0]",
        "this `if` has no steps",
        "give it `then:` or `else:`",
    ),
    "a wait for nothing": (
        steps("- wait_for: {up_to: 1h} #!"),
        "journeys.greeting.steps[0].wait_for",
        "nothing is waited for",
        "name one of event, segment, engagement",
    ),
    "a wait for two things": (
        steps("- wait_for: {event: A, segment: vip} #!"),
        "journeys.greeting.steps[0].wait_for.segment",
        "one wait can't be for event and segment",
        "wait for one of them",
    ),
    "a condition on a wait without event": (
        steps("- wait_for: {segment: vip, if: profile.a} #!"),
        "journeys.greeting.steps[0].wait_for.if",
        "'if' belongs to event",
        "",
    ),
    "kinds on a wait without engagement": (
        steps("- wait_for: {segment: vip, kinds: [opened]} #!"),
        "journeys.greeting.steps[0].wait_for.kinds",
        "'kinds' belongs to engagement",
        "",
    ),
    "an else that never comes": (
        steps("- wait_for: {event: A}\n  else: [{exit: late}] #!"),
        "journeys.greeting.steps[0].else",
        "these steps can't be reached: the wait has no end",
        "give `wait_for` an `up_to:`",
    ),
    "a value that would be text": (
        steps("- set: {total: event.total} #!"),
        "journeys.greeting.steps[0].set.total",
        "'total' would become the text 'event.total'",
        "write {cel: event.total}",
    ),
    "two steps of one id": (
        steps("- {send: hello, id: a}\n- {send: hello, id: a} #!"),
        "journeys.greeting.steps[1].id",
        "two steps have the id 'a'",
        "the other is journeys.greeting.steps[0]",
    ),
    "an id that is another step's path": (
        steps('- send: hello\n- {send: hello, id: "steps[0]"} #!'),
        "journeys.greeting.steps[1].id",
        "two steps have the id 'steps[0]'",
        "the other is journeys.greeting.steps[0]",
    ),
    "a step behind an exit": (
        steps("- exit: done\n- send: hello #!"),
        "journeys.greeting.steps[1]",
        "this step can't be reached",
        "steps[0] leaves the journey before it",
    ),
    "a step behind two exits": (
        steps("- if: profile.a\n  then: [{exit: a}]\n  else: [{exit: b}]\n- send: hello #!"),
        "journeys.greeting.steps[1]",
        "this step can't be reached",
        "steps[0] leaves the journey before it",
    ),
    "engagement with an unknown step": (
        steps("- {send: hello, id: first}\n- wait_for: {engagement: frist} #!"),
        "journeys.greeting.steps[1].wait_for.engagement",
        "unknown send step 'frist'",
        "did you mean 'first'?",
    ),
    "engagement with a later step": (
        steps("- wait_for: {engagement: first} #!\n- {send: hello, id: first}"),
        "journeys.greeting.steps[0].wait_for.engagement",
        "the send step 'first' is not before this wait",
        "no message is sent before it",
    ),
    "engagement with a step of the other branch": (
        steps("- if: profile.a\n  then: [{send: hello, id: first}]\n"
              "  else: [{wait_for: {engagement: first}}] #!"),
        "journeys.greeting.steps[0].else[0].wait_for.engagement",
        "the send step 'first' is not before this wait",
        "no message is sent before it",
    ),
    "engagement with a step that sends nothing": (
        steps("- {wait: 1h, id: pause}\n- wait_for: {engagement: pause} #!"),
        "journeys.greeting.steps[1].wait_for.engagement",
        "the step 'pause' sends nothing",
        "no message is sent before it",
    ),
    "a journey nobody enters": (
        {"journeys": "journeys:\n  greeting: #!\n    steps: [{send: hello}]"},
        "journeys.greeting",
        "nothing starts this journey",
        "give it a `trigger:`",
    ),
    "a journey that starts itself": (
        steps("- send: hello\n- start: greeting #!"),
        "journeys.greeting.steps[1].start",
        "journeys start each other without a wait: greeting → greeting",
        "put a `wait:` before this step",
    ),
    "journeys that start each other": (
        {"journeys": "journeys:\n  a:\n    trigger: {event: A}\n    steps: [{start: b}]\n"
         "  b:\n    steps:\n      - if: profile.x\n        then:\n          - start: a #!"},
        "journeys.b.steps[0].then[0].start",
        "journeys start each other without a wait: a → b → a",
        "put a `wait:` before this step",
    ),
}  # fmt: skip

LEAVES: dict[str, Case] = {
    "a duration without unit": (
        steps('- wait: "30" #!'),
        "journeys.greeting.steps[0].wait",
        "'30' is not a duration",
        "30m, 2h, 1d, 1w",
    ),
    "a duration in words": (
        {"session": "session: half an hour #!"},
        "session",
        "'half an hour' is not a duration",
        "30m, 2h, 1d, 1w",
    ),
    "a duration of nothing": (
        steps("- wait: 0m #!"),
        "journeys.greeting.steps[0].wait",
        "'0m' is out of range",
        "longer than nothing",
    ),
    "a duration beyond all plans": (
        {"policies": "policies: {same_message: 5000d} #!"},
        "policies.same_message",
        "'5000d' is out of range",
        "at most 400 days",
    ),
    "a cap without a time": (
        {"policies": 'policies: {caps: [{limit: "3"}]} #!'},
        "policies.caps[0].limit",
        "'3' is not a cap",
        "'2 / 24h'",
    ),
    "a cap of nothing": (
        {"policies": "policies: {caps: [{limit: 0 / 24h}]} #!"},
        "policies.caps[0].limit",
        "'0 / 24h' counts out of range",
        "a cap is 1 to",
    ),
    "a cap in an unknown time": (
        {"channels": "channels:\n  sms: {adapter: log}\n"
         "  email: {adapter: log, caps: [1 / calendar_dya]} #!"},
        "channels.email.caps[0]",
        "'calendar_dya' is not a time a cap can have",
        "did you mean 'calendar_day'?",
    ),
    "a cap in a time that is not a duration": (
        {"channels": "channels:\n  sms: {adapter: log}\n"
         "  email: {adapter: log, caps: [1 / 24]} #!"},
        "channels.email.caps[0]",
        "'24' is not a duration",
        "30m, 2h, 1d, 1w",
    ),
    "opening hours that are none": (
        {"channels": "channels:\n  sms: {adapter: log}\n"
         "  email: {adapter: log, window: 9 to 5} #!"},
        "channels.email.window",
        "9 to 5",
        "'09:00-20:00'",
    ),
    "opening hours on an unknown day": (
        {"channels": "channels:\n  sms: {adapter: log}\n"
         '  email: {adapter: log, window: {mno: "09:00-17:00"}} #!'},
        "channels.email.window",
        "mno",
        "'09:00-20:00'",
    ),
    "a moment that is none": (
        steps("- until: whenever #!"),
        "journeys.greeting.steps[0].until",
        "whenever",
        "'Mon 09:00'",
    ),
    "a moment within a wait that is none": (
        steps("- wait: {until: Mon 25:00} #!"),
        "journeys.greeting.steps[0].wait.until",
        "Mon 25:00",
        "'Mon 09:00'",
    ),
}

ALL = {**SHAPE, **UNAVAILABLE, **NAMES, **FLOW, **LEAVES}


def test_the_workspace_that_the_cases_spoil_is_sound() -> None:
    assert find_faults(write({})) == []


@pytest.mark.parametrize("case", ALL.values(), ids=ALL.keys())
def test_a_fault_is_reported_with_file_line_path_and_hint(case: Case) -> None:
    sections, path, message, hint = case
    text = write(sections)
    line = next(n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!"))
    (fault,) = find_faults(text)
    assert fault.path == path
    assert message in fault.message
    assert hint in fault.hint
    assert bool(hint) == bool(fault.hint)
    assert (fault.file, fault.line) == (FILE, line)
    assert fault.column > 0


def test_all_faults_of_a_workspace_are_reported_in_the_order_of_its_lines() -> None:
    text = write({
        "defaults": "defaults: {timezone: Mars/Olympus}",
        "channels": "channels:\n  email: {adapter: log, windw: x}\n  sms: {adapter: twilio}",
        **steps("- send: helo\n- wait: soon\n- exit: done\n- send: hello"),
    })  # fmt: skip
    faults = find_faults(text)
    assert [fault.path for fault in faults] == [
        "channels.email.windw",
        "channels.sms.adapter",
        "journeys.greeting.steps[0].send",
        "journeys.greeting.steps[1].wait",
        "journeys.greeting.steps[3]",
        "defaults.timezone",
    ]
    assert [fault.line for fault in faults] == sorted(fault.line for fault in faults)


def test_a_fault_is_reported_once_however_often_its_name_is_used() -> None:
    text = write({"channels": "channels:\n  email: {identity: email}\n  sms: {adapter: log}"})
    assert [fault.path for fault in find_faults(text)] == ["channels.email.adapter"]


def test_a_wait_between_journeys_that_start_each_other_makes_them_sound() -> None:
    looped = "journeys:\n  a:\n    trigger: {event: A}\n    steps: [{start: b}]\n"
    for pause in ("wait: 1h", "until: Mon 09:00", "wait_for: {event: B, up_to: 1h}"):
        assert find_faults(write({"journeys": f"{looped}  b:\n    steps: [{{{pause}}}, {{start: a}}]"})) == []


@pytest.mark.parametrize(
    "pause", ["until: profile.renewal_date", "wait_for: {segment: vip, up_to: 1h}"]
)
def test_a_wait_that_may_be_over_at_once_does_not_break_a_loop(pause: str) -> None:
    text = "journeys:\n  a:\n    trigger: {event: A}\n    steps:\n"
    (fault,) = find_faults(write({"journeys": f"{text}      - {pause}\n      - start: a"}))
    assert "journeys start each other without a wait" in fault.message


def test_what_someone_wrote_is_never_echoed_at_length() -> None:
    long = "x" * 5_000
    sections = {"channels": f"channels:\n  email: {{adapter: {long}}}\n  sms: {{adapter: log}}"}
    (fault,) = find_faults(write({**sections, "policies": ""}))
    assert len(fault.message) < 200


def test_deep_nesting_is_a_fault_and_not_a_crash() -> None:
    deep: dict[str, object] = {"exit": "end"}
    for _ in range(300):
        deep = {"if": "true", "then": [deep]}
    raw = {"workspace": "w", "journeys": {"j": {"trigger": {"event": "A"}, "steps": [deep]}}}
    with pytest.raises(ProgramError, match="nested too deeply"):
        compile_source(raw)


def test_a_workspace_of_values_that_are_not_plain_is_a_fault() -> None:
    circle: dict[str, object] = {}
    circle["defaults"] = circle
    for raw in ({"workspace": object()}, circle, {"workspace": "\ud800"}):
        with pytest.raises(ProgramError, match="plain values"):
            compile_source(raw)
