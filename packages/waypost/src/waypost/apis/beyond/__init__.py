"""What Waypost answers beyond Cloud Map's API: watches, history, registrations in bulk, removal with all inside."""
