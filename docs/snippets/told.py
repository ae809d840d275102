"""Read decisions, one JSON object a line, and tell each in a line of words."""

import json
import sys

for line in sys.stdin:
    decision = json.loads(line)
    until = f" until {decision['next_eligible']}" if decision["next_eligible"] else ""
    print(
        decision["at"],
        decision["customer"],
        decision["message"],
        f"{decision['outcome']}{until}",
        f"because {decision['reason']}",
        sep="  ",
    )
