"""The faces for people: the screens."""
