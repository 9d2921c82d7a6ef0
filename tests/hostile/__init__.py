"""Wrong and hostile inputs: each ends with one line that names what is wrong, and changes no file."""
