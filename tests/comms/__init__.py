"""Tests of who can be written to, and of what arrives."""
