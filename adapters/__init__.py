"""Everything that touches the world: HTTP, websocket, SQLite, channels, files, commands."""
