"""Agents with programs and servers of the host around them."""
