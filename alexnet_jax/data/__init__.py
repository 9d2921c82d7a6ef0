"""Input pipeline on the host: data sets, decoding, statistics and batches, and the preparation of data sets.

``dataset`` opens a ``folder`` or a ``tfds_source``, and ``pipeline`` reads batches from it.
"""
