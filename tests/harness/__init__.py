"""Real servers and processes for tests that look at Tidegate from outside, as a client and an operator do."""
