"""Finds services on clouds, one file per kind of cloud."""
