"""Tests of what a session is made of; what every service keeps is in ``tests/contracts``."""
