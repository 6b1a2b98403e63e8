"""The vector store's rows: the only place that speaks SQL here."""
