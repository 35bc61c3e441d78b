"""Storage: from the last channel onto disk and into the database, each event once."""

from siemd.errors import StoreError
from siemd.storage.store import StorageConfig, Store, open_store
from siemd.storage.writer import Writer

__all__ = ["StorageConfig", "Store", "StoreError", "Writer", "open_store"]
