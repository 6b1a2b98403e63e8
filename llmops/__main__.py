"""`python -m llmops` is `llmops`."""

from llmops.cli import main

main()
