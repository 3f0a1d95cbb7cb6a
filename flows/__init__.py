"""The faces of the scheduler and the command line."""
