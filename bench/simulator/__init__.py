"""The autoscaler's real code in virtual time, beside Dask's own `Adaptive`, a fixed fleet and a clairvoyant bound."""
