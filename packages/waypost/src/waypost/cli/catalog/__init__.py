"""The commands that speak to a registry by Cloud Map's API alone: Waypost's own, or AWS's."""
