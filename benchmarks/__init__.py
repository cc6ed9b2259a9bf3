"""What devswap costs, beside the same work by hand, in one run."""
