"""The worker image: worker processes, their supervisor, and the scheduler."""
