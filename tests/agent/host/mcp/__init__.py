"""MCP servers that are really there: one of others, and one that does what a test needs."""
