"""What only a host has: threads, locks of the system, processes that are killed."""
