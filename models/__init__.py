"""Computing about customers: identity and scores."""
