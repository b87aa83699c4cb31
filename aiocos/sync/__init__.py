"""Sync: a plan of what makes the destination like the source, and its execution."""
