"""The teams and programs of examples/."""
