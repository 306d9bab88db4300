"""Frameworks and servers: the outermost layer, and the only one that speaks Flask or gunicorn."""
