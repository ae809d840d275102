"""What the pages for customers say where a workspace does not say it: English, by key.

`consentcheck` knows the keys from here, `adapters.gateway.pages` the texts. Besides these a
workspace may name its own things: `purpose.NAME`, `type.NAME` and `channel.NAME`. In the texts of
unsubscribing PURPOSE and CHANNEL stand for those names.
"""

CENTRE_LANGUAGE = "en"
NAMED = ("purpose.", "type.", "channel.")

CENTRE_TEXTS = {
    "language_name": "English",
    "title": "Your preferences",
    "saved": "Your preferences are saved.",
    "stopped": "You will get no more of these messages.",
    "not_saved": "This could not be saved just now. Please try again.",
    "form_over": "This page was open for too long. Please look over your choice and save again.",
    "bad_choice": "Nothing was saved, because one of the choices can't be right:",
    "old_link": (
        "This link is from an older message: with it you can say no, and not yes again. For that, "
        "please use the link in a newer message."
    ),
    "pending": "not confirmed yet: please follow the link we sent",
    "wanted": "Send me these",
    "channel": "Send them by",
    "any_channel": "no preference",
    "when": "When and how often",
    "frequency": "At most",
    "frequency.any": "as often as you think fit",
    "frequency.day": "one message a day",
    "frequency.week": "one message a week",
    "frequency.month": "one message a month",
    "frequency.other": "as I chose before",
    "quiet_from": "Not between",
    "quiet_to": "and",
    "quiet_other": "You have quiet hours of another kind. They stay unless you enter others here.",
    "silence": "Leave me alone until",
    "silent": "Leave me alone until I say otherwise",
    "language": "Language",
    "save": "Save",
    "everything": "Unsubscribe from everything",
    "everything_text": "We would then write only about your orders and your account.",
    "confirm_title": "Please confirm",
    "confirm_text": "Do you want to hear from us here?",
    "confirm_button": "Confirm",
    "confirmed_title": "Thank you",
    "confirmed_text": "Your consent is confirmed.",
    "unconfirmed_title": "There is nothing to confirm",
    "unconfirmed_text": "The link is too old, or you have changed your mind since.",
    "unsubscribe_title": "Unsubscribe",
    "unsubscribe_text": "Do you want no more PURPOSE messages by CHANNEL?",
    "unsubscribe_button": "Unsubscribe",
    "unsubscribed_title": "You are unsubscribed",
    "unsubscribed_text": "You will get no more PURPOSE messages by CHANNEL.",
    "link_title": "This link is not complete",
    "link_text": "Please use the link exactly as it stands in the message, to its very end.",
    "gone_title": "There is nothing here",
    "gone_text": "We know of no preferences by this link.",
    "busy_title": "Please try again",
    "busy_text": "We could not note it just now.",
}
