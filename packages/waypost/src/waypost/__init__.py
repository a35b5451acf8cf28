"""Waypost: a service registry with AWS Cloud Map's API, its own authoritative DNS, and the life of tasks."""
