"""Computations that misbehave on request, so that tests can count what really ran."""
