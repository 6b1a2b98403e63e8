"""Chains that answer: retrieval-augmented generation with citations, abstention and a record of every answer."""
