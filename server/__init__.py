"""The HTTP door: the supervisor of the processes, the app, and its two APIs."""
