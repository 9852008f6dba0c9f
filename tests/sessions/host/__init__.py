"""Sessions on a host's disk: processes that are killed, disks that fail, many at a time."""
