"""What the three services have in common as HTTP servers: one way to run, to be bounded, to log and to tell health."""
