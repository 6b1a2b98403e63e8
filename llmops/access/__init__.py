"""Workspaces, roles, API keys, principals and the audit log."""
