"""The console's door to users, tokens and the audit log."""
