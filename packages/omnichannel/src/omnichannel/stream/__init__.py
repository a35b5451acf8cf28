"""The event stream: how a worker hears that a delivery is due."""
