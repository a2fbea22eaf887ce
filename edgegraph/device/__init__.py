"""What the hardware can do, and the roofline that follows from it."""
