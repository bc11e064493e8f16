"""The parts of a stack, one component class each."""
