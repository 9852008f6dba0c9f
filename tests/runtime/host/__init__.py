"""Inputs of processes that are killed, and more of them than a page would queue."""
