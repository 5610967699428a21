"""The commands, and what they share: options, log, plugins, advice. Nothing else imports this room."""
