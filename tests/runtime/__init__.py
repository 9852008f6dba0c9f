"""Tests of one session's inbox: admission, order, runs, and how inputs end."""
