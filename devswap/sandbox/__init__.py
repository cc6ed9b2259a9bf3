"""Builds a small real all-in-one in LXC for people without one."""
