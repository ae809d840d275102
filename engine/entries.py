"""When a customer entered journeys, as far as entering again rests on it.

Kept by `evolve` for each entry and united by `merge`; `engine.journeys.triggers` reads it.

*Rules*
- Of every journey the last entry is known. Of one whose entries are counted the instants are, for
  as long as they count; of one with keys the last entry with each of the latest keys is.
- Of two customers who are one all entries count, each once.
"""

from engine.limits import ENTRIES_MAX, ENTRY_KEYS_MAX
from engine.profile import Profile
from engine.records import Entered


def note_entry(profile: Profile, record: Entered) -> None:
    """Take an entry into the profile."""
    name, at = record.journey, record.at
    last_at = profile.entered.get(name)
    profile.entered[name] = at
    if record.key or name in profile.keyed:
        keyed = profile.keyed.setdefault(name, {} if last_at is None else {"": last_at})
        keyed.pop(record.key, None)
        keyed[record.key] = at
        if len(keyed) > ENTRY_KEYS_MAX:
            del keyed[next(iter(keyed))]
    if record.keep_ms:
        before = [] if last_at is None else [last_at]  # of when they were not counted
        known = [*profile.entries.get(name, before), at]
        kept = [one for one in known if one > at - record.keep_ms]
        profile.entries[name] = kept[-ENTRIES_MAX:]


def unite_entries(profile: Profile, other: Profile) -> None:
    """Take in the entries of another customer."""
    for name, theirs in other.entries.items():
        ours = profile.entries.get(name, [])
        profile.entries[name] = sorted({*ours, *theirs})[-ENTRIES_MAX:]
    for name, keys in other.keyed.items():
        known = profile.keyed.get(name, {})
        united = {key: max(at, known.get(key, at)) for key, at in {**known, **keys}.items()}
        ordered = sorted(united, key=lambda key: (united[key], key))[-ENTRY_KEYS_MAX:]
        profile.keyed[name] = {key: united[key] for key in ordered}
