"""Image collections to TFDS data sets of small square images, without TensorFlow.

``imagenet2012`` and ``collection`` list what there is, ``recipe`` turns an image into a record, ``sums`` adds up
its pixels, ``journal`` remembers the finished shards, and ``build`` writes them.
"""
