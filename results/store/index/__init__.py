"""The index of records, which makes reading 100,000 of them quick, and may be deleted at any time."""
