"""The doors: who may do what, how often, and from where. One policy for every route."""
