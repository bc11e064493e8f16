"""The author's room: every module here is imported at start, and every `@computation` in it is served."""
