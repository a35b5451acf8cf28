"""The publisher's domain: messages, their deliveries and what may happen to them. Pure: no I/O, no clock."""
