"""The store in a folder: what the contract does not say of it."""
