curl http://127.0.0.1:8080/v1/track \
  --header 'Content-Type: application/json' \
  --data '{"userId": "ana", "event": "Product Added", "properties": {"price": 80}}'
