"""The store for the API: commands executed over asyncio, those of one loop tick gathered into one call.

Gathering is what makes hits cheap: under load many requests are read in one tick, and their submissions (or reads)
share one round trip and one answer. While `_CALLS` gathered calls are under way, more arrive and make the next one larger.
"""
