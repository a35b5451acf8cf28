"""The event stream: the doorbell that tells the workers what is due; in the database, or on Kinesis."""
