"""Tests, by room. `tests.crash` kills processes for those that ask what is left."""
