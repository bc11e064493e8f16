"""Everything on one machine: Valkey, Dask scheduler, workers and API as one process tree.

| word | meaning |
|---|---|
| part | one child process of the stack, with a log file, a test for being ready and a limit for ending |
| stack | the parts of one data directory, started together and ended in order |
| guard | the small process that ends the parts when the stack itself was killed |
"""
