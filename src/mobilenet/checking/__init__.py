"""What labeled images hold and what is wrong with them, before a training finds out."""
