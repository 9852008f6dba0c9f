"""Tests of the loop, its tools and how an agent is made."""
