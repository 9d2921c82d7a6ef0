"""Paths on object stores: Amazon S3 and compatible stores (``s3://``), and Google Cloud Storage (``gs://``).

The rest of the package sees local files: copies in the user's cache.
"""
