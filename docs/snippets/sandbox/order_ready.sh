curl -s http://127.0.0.1:8080/v1/batch -d '{"batch": [
  {"type": "identify", "messageId": "m-1", "userId": "zoe", "traits": {"phone": "+27821230002"}},
  {"type": "track", "messageId": "m-2", "userId": "zoe", "event": "Order Ready",
   "properties": {"order_id": "4711"}}]}'
