"""Makes TFDS data sets of small square images, without TensorFlow.

``imagenet2012`` and ``collection`` list images, ``recipe`` makes a record of an image, ``sums`` adds up pixels,
``shards`` writes a shard, ``journal`` keeps the finished shards, and ``build`` runs the whole preparation.
"""
