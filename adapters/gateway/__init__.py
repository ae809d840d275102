"""Events in and answers out over HTTP and websocket."""
