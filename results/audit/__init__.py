"""What can be wrong with a store's claims: an audit of its plans and records, which names each fault it finds."""
