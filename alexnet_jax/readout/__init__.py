"""Features of many images: read in blocks, stored, compared, and searched for nearest neighbours."""
