"""What was said before, and is looked for."""
