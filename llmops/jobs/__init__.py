"""Leased, resumable work that outlives the process that asked for it."""
