"""Dynamic resources: what Pulumi must wait for or end, and no provider of AWS's does.

A stack's state holds each provider as the name of its class (`infra.dynamic.fleet_stop.FleetStopProvider`), so that the
code of today runs on refresh and destroy. Hence the modules and classes keep their names: one that is renamed leaves
existing stacks with a provider that cannot be loaded.
"""
