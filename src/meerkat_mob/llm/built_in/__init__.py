"""The model that a browser brings along (the web's Prompt API), as a client like any other."""

from meerkat_mob.llm.built_in.client import BuiltInLlm

__all__ = ("BuiltInLlm",)
