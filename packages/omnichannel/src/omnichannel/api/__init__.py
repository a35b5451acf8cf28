"""The REST service: takes messages, keeps them, and tells how they stand."""
