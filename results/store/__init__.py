"""Everything on disk below a store's root: claims, attempts, records, plans, the index."""
