"""Realms that are kept on a disk: threads, and locks of the system."""
