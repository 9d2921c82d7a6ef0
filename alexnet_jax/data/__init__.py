"""From stored images to what the net sees: ``sources`` and ``pipeline`` on the host, ``augment`` on the device."""
