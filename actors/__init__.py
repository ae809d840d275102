"""The runtime: mailboxes, timers, group commit, outbox and recovery around the engine."""
