"""What people and programs outside use: the terminal, the page, the wire."""
