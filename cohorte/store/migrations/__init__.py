"""The store's schema, step by step. `HEAD` is the newest step, and what this program expects."""

HEAD = "0009"
