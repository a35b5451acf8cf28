"""Omnichannel: write a message once, for now or for a time, and it is delivered on every channel asked for."""
