"""The screens: they read the published version and the store, and compute nothing the run did."""
