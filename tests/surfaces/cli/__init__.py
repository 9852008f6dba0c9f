"""The command of the terminal."""
