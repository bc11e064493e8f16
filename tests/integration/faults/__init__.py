"""What a client sees while parts of the system are killed, cut off, or given hostile work."""
