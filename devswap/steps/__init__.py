"""Reversible changes to machines, one file each."""
