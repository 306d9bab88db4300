"""Tests of the house itself: its walls, its locks, what is shipped, and the rules that a machine can check."""
