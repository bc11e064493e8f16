"""The Pulumi program under mocks: what it would make, and whether AWS would take it."""
