"""Makes TFDS data sets of small square images, without TensorFlow.

``imagenet2012``, ``imagenet2010`` and ``collection`` list images, ``recipe`` encodes an image as a record, ``shards``
writes a shard, ``journal`` lists the finished shards, and ``build`` runs the whole preparation.
"""
