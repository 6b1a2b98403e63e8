"""Detectors of what a text should not hold or should not do."""
