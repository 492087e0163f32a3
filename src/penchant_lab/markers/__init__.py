"""Published markers that the bench measures against."""
