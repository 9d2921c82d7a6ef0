"""Pure functions that turn stored uint8 images into float crops, on the device."""
