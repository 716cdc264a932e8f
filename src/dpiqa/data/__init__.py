"""Image quality data sets as their authors release them."""
