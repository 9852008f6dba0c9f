"""The surfaces: what people and programs outside use."""
