"""The infrastructure: a Pulumi program, and what it is made of."""
