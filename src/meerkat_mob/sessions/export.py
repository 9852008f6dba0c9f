"""A live session as a document, with everything a cold reader needs (EPH-22)."""
