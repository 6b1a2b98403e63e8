"""The vector database: load, chunk, ingest, index, search, snapshot."""
