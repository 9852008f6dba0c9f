"""What the methods of one connection work on."""

from __future__ import annotations

from dataclasses import dataclass

from meerkat_mob.mob import Realm
from meerkat_mob.surfaces.rpc.streams import Streams


@dataclass(frozen=True)
class Host:
    """A realm, and the streams that were opened over this connection."""

    realm: Realm
    streams: Streams
