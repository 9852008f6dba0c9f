"""Teams of LLM agents described as data, in a browser tab or on the host."""

from __future__ import annotations

__version__ = "0.1.0"
