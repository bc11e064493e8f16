"""Large results, kept outside Redis: one small interface, a directory and S3 behind it.

The interface blocks; asynchronous code takes AsyncObjects, which calls it in threads. boto3 is imported only where
a URL asks for S3.
"""

from services.objects.aio import AsyncObjects
from services.objects.store import DEFAULT_TTL, ObjectMissing, ObjectReader, ObjectStore, open_object_store

__all__ = ["DEFAULT_TTL", "AsyncObjects", "ObjectMissing", "ObjectReader", "ObjectStore", "open_object_store"]
