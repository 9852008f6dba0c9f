"""A team: what it is made of, and how it lives."""
