"""What makes one suite run on two loops and on every target. Pytest plug-ins, no tests."""
