"""The browser's own model as a client."""
