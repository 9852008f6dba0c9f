"""One suite for every target. ``tests/README.md`` says how it runs and what it asks of a test."""
