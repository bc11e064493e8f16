"""The gate: the HTTP API, and beside it the dispatcher and the reconciler that feed Dask."""
