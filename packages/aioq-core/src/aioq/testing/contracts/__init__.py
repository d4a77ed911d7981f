"""One suite for each protocol."""
