"""Encryption before upload: the client, its keys, and what may be done with old objects."""
