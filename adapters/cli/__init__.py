"""The command line: one file per command, all reached through `adapters.cli.commands`."""
