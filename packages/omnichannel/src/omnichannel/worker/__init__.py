"""The delivering service: hears what is due, claims it, sends it, and records what became of it."""
