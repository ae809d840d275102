"""Send events with Segment's own library. NEXTBEAT_URL says where Nextbeat listens."""

import os

from segment import analytics

analytics.write_key = "any"
analytics.host = os.environ.get("NEXTBEAT_URL", "http://127.0.0.1:8080")

analytics.identify("ana", {"first_name": "Ana", "email": "ana@example.com"})
analytics.track("ana", "Product Added", {"price": 80})
analytics.flush()
