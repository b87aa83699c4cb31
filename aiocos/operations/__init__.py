"""The operations of COS: one typed method each, over one table of what goes where."""
