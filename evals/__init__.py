"""Offline evaluation: measures, and how sure they are."""
