"""The servers of the host: the proxy."""
