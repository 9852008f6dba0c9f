"""The contracts that ship with the kit, applied to every home."""
