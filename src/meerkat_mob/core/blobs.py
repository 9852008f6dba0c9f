"""The name of a blob is its content (spec sessions BLB-1)."""

from __future__ import annotations

import hashlib


def blob_id(media_type: str, data: str) -> str:
    """The id of an image given as base64 text: the same image always has the same one."""
    return "sha256:" + hashlib.sha256(f"{media_type}\0{data}".encode()).hexdigest()
