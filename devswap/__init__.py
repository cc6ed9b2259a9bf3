"""devswap takes one production OpenStack service over with a checkout, and gives it back exactly."""

__version__ = "0.1.0"
