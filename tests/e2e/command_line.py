"""The installed command, run as a person runs it; shared by the tests of the command line."""

import os
import subprocess
import sys
from pathlib import Path

NEXTBEAT = str(Path(sys.executable).with_name("nextbeat"))
SHOP = """
workspace: shop
defaults: {timezone: Africa/Johannesburg, country: ZA}
consent: {marketing: opt_out}
channels:
  email: {adapter: log, identity: email, window: "09:00-20:00"}
message_types:
  promotional: {purpose: marketing, channels: [email], expires: 48h}
messages:
  welcome: {type: promotional, content: {email: {subject: Hi, body: Welcome}}}
journeys:
  onboarding:
    trigger: {event: Signed Up}
    steps: [{send: welcome, id: first}]
"""


def nextbeat(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [NEXTBEAT, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )


def write_shop(folder: Path, text: str = SHOP) -> Path:
    """Write a workspace and give its folder."""
    shop = folder / "shop"
    shop.mkdir()
    (shop / "workspace.yaml").write_text(text, encoding="utf-8")
    return shop
