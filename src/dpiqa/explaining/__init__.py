"""What a teacher reads in a photo, as arrays and as a picture."""
