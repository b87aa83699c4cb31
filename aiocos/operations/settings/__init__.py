"""Settings of buckets and objects: one file for each family, one table row for each setting.

``shapes`` checks and reads their documents, ``setting`` has what put, get and delete share.
"""
