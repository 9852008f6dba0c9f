"""Servers, on the host only: the proxy for pages that must not hold keys."""
